"""Roughening changes how a question is put, not what it asks for."""

import random

from demo_model.corpus.roughness import drop_word, exchange_word, keep_key_words, mistype, roughen


def test_a_synonym_replaces_a_whole_word() -> None:
    results = {exchange_word("Prices are high", random.Random(seed)) for seed in range(40)}
    assert "Costs are high" in results
    assert all(result.endswith(" are high") for result in results)


def test_a_text_without_known_words_stays() -> None:
    assert exchange_word("Zeppelin!", random.Random(0)) == "Zeppelin!"


def test_short_questions_keep_all_their_words() -> None:
    assert drop_word("What is a batch?", random.Random(0)) == "What is a batch?"


def test_key_words_are_kept() -> None:
    assert keep_key_words("How do I cancel a batch?") == "cancel batch"


def test_a_typing_error_changes_one_place() -> None:
    for seed in range(30):
        assert abs(len(mistype("embeddings", random.Random(seed))) - len("embeddings")) <= 1


def test_about_half_of_the_questions_stay_as_they_are() -> None:
    rng = random.Random(1)
    question = "How much does a batch cost?"
    same = sum(roughen(question, rng) == question for _ in range(2000))
    assert 500 < same < 1200
