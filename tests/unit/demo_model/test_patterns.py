"""Question patterns expand to whole sentences."""

import random

import pytest

from demo_model.corpus.patterns import expand


def all_of(pattern: str) -> set[str]:
    rng = random.Random(0)
    return {expand(pattern, rng) for _ in range(200)}


def test_each_alternative_comes_up() -> None:
    assert all_of("How {big|small} is it{ now|}?") == {
        "How big is it now?",
        "How big is it?",
        "How small is it now?",
        "How small is it?",
    }


def test_alternatives_nest() -> None:
    assert all_of("{a|b{1|2}}") == {"a", "b1", "b2"}


def test_an_empty_alternative_leaves_no_double_blank() -> None:
    assert all_of("the {|} price") == {"the price"}


def test_a_brace_without_a_partner_is_refused() -> None:
    with pytest.raises(ValueError, match="partner"):
        expand("How {big is it?", random.Random(0))
