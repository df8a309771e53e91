"""What a model's tokens cost, from settings."""

import pytest

from tokenmill.models.prices import FREE, Price, dedicated_price_of, parse_price, price_of
from tokenmill.settings import PriceSettings


def test_published_prices() -> None:
    assert price_of(PriceSettings(), "any", "generate") == Price(100, 100, 100)
    assert price_of(PriceSettings(), "any", "embed") == Price(20, 20, 0)


def test_a_model_may_have_its_own() -> None:
    prices = PriceSettings(models={"mine": "1/2", "cheap": "3/1/9"})
    assert price_of(prices, "mine", "generate") == Price(1, 1, 2)
    assert price_of(prices, "cheap", "generate") == Price(3, 1, 9)
    assert dedicated_price_of(prices, "mine") == Price(1, 1, 2)


def test_an_accounts_own_engines_cost_nothing_unless_named() -> None:
    assert dedicated_price_of(PriceSettings(), "any") == FREE


@pytest.mark.parametrize("text", ["", "1", "a/b", "1/2/3/4", "-1/2", "1.5/2", "1/9999999999999"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no price"):
        parse_price(text)
