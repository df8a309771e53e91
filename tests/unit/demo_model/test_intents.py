"""The tables of intents: complete, varied, and true to the product's settings."""

import random
from pathlib import Path

import pytest

from demo_model.corpus.intents import INTENTS, pick_intent, read_intents
from tokenmill.settings import Settings

ANSWERS = {intent.name: intent.answer for intent in INTENTS}


def test_every_question_of_every_intent_expands() -> None:
    rng = random.Random(1)
    for intent in INTENTS:
        for _ in range(200):
            assert intent.question(rng).strip()


def test_names_are_unique() -> None:
    assert len(ANSWERS) == len(INTENTS)


def test_the_median_intent_has_more_than_sixty_phrasings() -> None:
    rng = random.Random(2)
    counts = sorted(len({i.question(rng) for _ in range(400)}) for i in INTENTS)
    assert counts[len(counts) // 2] > 60


def test_the_port_that_the_model_names_is_the_default_port() -> None:
    port = str(Settings().port)
    assert all(port in ANSWERS[name] for name in ("port", "base_url", "python", "curl"))


def test_the_metrics_port_that_the_model_names_is_the_default_one() -> None:
    assert str(Settings().metrics.port) in ANSWERS["port"]


@pytest.mark.parametrize(
    ("intent", "facts"),
    [
        ("price_realtime", ["$0.10 per million input", "$0.10 per million output"]),
        ("price_batch", ["$0.07", "$0.05", "30%", "50%"]),
        ("price_embeddings", ["$0.02"]),
        ("tier_free", ["20 requests", "40,000 tokens"]),
        ("tier_standard", ["60 requests", "150,000 tokens"]),
        ("tier_pro", ["200 requests", "500,000 tokens"]),
        ("lora_parameters", ["3 epochs", "0.0002", "rank 16", "alpha 32", "0.05"]),
        ("max_tokens", ["1024", "4096"]),
        ("base_url", ["/v1", "/api/v1"]),
        ("good", ["demo", "tokenmill up --model NAME"]),
    ],
)
def test_the_documented_facts_are_in_the_answers(intent: str, facts: list[str]) -> None:
    assert all(fact in ANSWERS[intent] for fact in facts)


def test_a_heavier_intent_comes_more_often() -> None:
    rng = random.Random(3)
    names = [pick_intent(rng).name for _ in range(20_000)]
    assert names.count("unknown") > 2 * names.count("ping")


def test_an_intent_without_an_answer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.txt").write_text("[lonely]\nWho?\n")
    with pytest.raises(ValueError, match="lonely"):
        read_intents(tmp_path)
