"""Which models can be served."""

import pytest

from tokenmill.engines.embedded.model_source import ModelNotUsable, architecture_of, find_model


def test_architectures_are_known_by_their_model_type() -> None:
    assert architecture_of({"model_type": "llama"}) == "Llama"
    assert architecture_of({"model_type": "qwen3_moe"}) == "Qwen3Moe"


@pytest.mark.parametrize("config", [{}, {"model_type": "whisper"}])
def test_other_architectures_are_refused_with_those_there_are(config: dict[str, str]) -> None:
    with pytest.raises(ModelNotUsable, match=r"it runs: .*llama, .*qwen3"):
        architecture_of(config)


@pytest.mark.parametrize("wanted", ["no such thing", "a/b/c", "../x y"])
def test_a_name_that_is_nothing_is_refused(wanted: str) -> None:
    with pytest.raises(ModelNotUsable, match="no Hugging Face id"):
        find_model(wanted)
