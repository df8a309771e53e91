"""Whose price of which model holds."""

import pytest

from tokenmill.models.own_prices import OwnPrices
from tokenmill.models.prices import Price

OWN = OwnPrices({1: {"a": "1/2", "*": "3/4/5"}, 2: {"b": "6/7"}})


@pytest.mark.parametrize(
    ("account_id", "model", "is_dedicated", "price"),
    [
        (1, "a", False, Price(1, 1, 2)),
        (1, "b", False, Price(3, 4, 5)),
        (1, "a", True, Price(1, 1, 2)),
        (1, "b", True, None),  # on engines of its own only what is named has a price
        (2, "a", False, None),
        (2, "b", False, Price(6, 6, 7)),
        (3, "a", False, None),
    ],
)
def test_the_nearest_price_holds(
    account_id: int, model: str, is_dedicated: bool, price: Price | None
) -> None:
    assert OWN.price_of(account_id, model, is_dedicated=is_dedicated) == price


def test_only_accounts_with_prices_have_any() -> None:
    assert [OWN.has_any(account_id) for account_id in (1, 2, 3)] == [True, True, False]


def test_what_is_no_price_is_not_taken_over() -> None:
    with pytest.raises(ValueError, match="no price"):
        OwnPrices({1: {"a": "free"}})
