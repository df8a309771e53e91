"""Prices that accounts have of their own: a file in the state folder that workers read.

Control writes the file and then raises its generation in the hot segment, so a change holds for the
next request of every worker; what is under way keeps the price that it was admitted at.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tokenmill.models.prices import Price, parse_price

FILE_NAME = "account_prices.json"

EVERY_MODEL = "*"
"""In place of a model id: every model of the house that has no price of the account's own."""

PriceTexts = Mapping[int, Mapping[str, str]]


class OwnPrices:
    """Prices by account and model id, as they were read."""

    def __init__(self, texts: PriceTexts) -> None:
        """Raises: ValueError, for what is no price."""
        self._prices = {
            account_id: {model: parse_price(text) for model, text in models.items()}
            for account_id, models in texts.items()
        }

    def has_any(self, account_id: int) -> bool:
        """Whether the account has prices of its own."""
        return account_id in self._prices

    def price_of(self, account_id: int, model: str, *, is_dedicated: bool) -> Price | None:
        """The account's own price of a model; None: what the settings say. On engines of its own
        it pays for what is named, not for every model."""
        models = self._prices.get(account_id, {})
        found = models.get(model)
        return models.get(EVERY_MODEL) if found is None and not is_dedicated else found


def write_own_prices(state: Path, texts: PriceTexts) -> None:
    """These prices and no others; the file is whole at any time. Raises: OSError."""
    path = state / FILE_NAME
    beside = path.with_name(f".{FILE_NAME}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(texts))
    beside.replace(path)


def read_own_prices(state: Path) -> OwnPrices:
    """What was written last. Raises: OSError, ValueError, msgspec.MsgspecError."""
    data = (state / FILE_NAME).read_bytes()
    return OwnPrices(msgspec.json.decode(data, type=dict[int, dict[str, str]]))
