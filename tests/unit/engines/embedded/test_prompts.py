"""Chat templates as Hugging Face writes them."""

import pytest

from tokenmill.engines.embedded.errors import BadRequest, EngineError
from tokenmill.engines.embedded.prompts import PromptTemplate

USER = [{"role": "user", "content": "Grüße <b>"}]


def test_blocks_take_their_line_end_with_them() -> None:
    source = "{% for m in messages %}\n{{ m.role }}\n{% endfor %}\nend"
    assert PromptTemplate(source).render(USER) == "user\nend"


def test_special_tokens_and_the_generation_prompt_are_known() -> None:
    source = "{{ bos_token }}{% if add_generation_prompt %}go{% endif %}"
    template = PromptTemplate(source, {"bos_token": "<s>"})
    assert template.render(USER) == "<s>go"
    assert template.render(USER, add_generation_prompt=False) == "<s>"


def test_json_is_written_with_blanks_and_without_escapes() -> None:
    source = "{{ messages[0] | tojson }}"
    assert PromptTemplate(source).render(USER) == '{"role": "user", "content": "Grüße <b>"}'


def test_a_template_may_refuse_the_conversation() -> None:
    template = PromptTemplate("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(BadRequest, match="roles must alternate"):
        template.render(USER)


def test_a_template_that_fails_on_a_conversation_is_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        PromptTemplate("{{ messages[0].content + 1 }}").render(USER)


def test_a_template_cannot_reach_into_python() -> None:
    with pytest.raises(BadRequest):
        PromptTemplate("{{ messages.__class__.__mro__ }}").render(USER)


def test_a_broken_template_is_told_when_it_is_compiled() -> None:
    with pytest.raises(EngineError, match="chat template"):
        PromptTemplate("{% for %}").compile()


def test_a_model_without_a_template_cannot_chat() -> None:
    with pytest.raises(BadRequest, match="no chat template"):
        PromptTemplate("").render(USER)
