"""What a settled request leaves behind, and how rows become sums by the hour. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

HOUR_S = 3_600
DAY_S = 86_400

CLASSES = ("realtime", "batch_1h", "batch_24h", "embeddings")
"""Classes of service, by their number in cells and rows. New ones go to the end."""

ENDPOINTS = ("chat_completions", "completions", "embeddings")
"""Routes that are billed, by their number in cells and rows. New ones go to the end."""


EMBEDDINGS_CLASS = CLASSES.index("embeddings")
EMBEDDINGS_ENDPOINT = ENDPOINTS.index("embeddings")

FAILED = 500
"""Statuses from here on are the house's or an engine's failures; a client that went is none."""

IS_STREAM, IS_USAGE_KNOWN, IS_ESTIMATED, IS_RESCUED = 1, 2, 4, 8
"""Bits of a row's flags, as a cell has them."""

NO_ENGINE = 0
"""The number of the engine that there was none."""


class UsageRow(NamedTuple):
    """A settled request, in the order of its table's columns. Prices are nanos a token.

    `model` and `engine` are numbers of names; `first_byte_ms` counts from the start, -1: none came.
    `status` is the HTTP status that the end stands for, 499 for a client that went.
    """

    incarnation: int
    ticket: int
    account_id: int
    key_id: int
    model: int
    engine: int
    service_class: int
    endpoint: int
    status: int
    flags: int
    began_at_ms: int
    ended_at_ms: int
    first_byte_ms: int
    duration_ms: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    prompt_price_nanos: int
    completion_price_nanos: int
    cached_price_nanos: int
    reserved_nanos: int
    amount_nanos: int
    request_id: bytes


class HourKey(NamedTuple):
    """What a sum by the hour is of."""

    account_id: int
    hour_s: int
    key_id: int
    model: int
    service_class: int
    endpoint: int


def day_sums(hours: Mapping[HourKey, Sequence[int]]) -> dict[HourKey, list[int]]:
    """The sums by the day; the time of a key is then the beginning of its day."""
    sums: dict[HourKey, list[int]] = {}
    for key, total in hours.items():
        day = HourKey(key[0], key[1] // DAY_S * DAY_S, key[2], key[3], key[4], key[5])
        known = sums.get(day)
        sums[day] = (
            list(total)
            if known is None
            else [one + more for one, more in zip(known, total, strict=True)]
        )
    return sums


def hour_of(time_ms: int) -> int:
    """The beginning of the hour that `time_ms` is in, in seconds."""
    return time_ms // 1000 // HOUR_S * HOUR_S


def bills(rows: Iterable[UsageRow]) -> dict[tuple[int, int], tuple[int, int]]:
    """Nanos and requests by account and class: each is one transfer."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for row in rows:
        place = (row.account_id, row.service_class)
        amount, count = found.get(place, (0, 0))
        found[place] = (amount + row.amount_nanos, count + 1)
    return found


def hour_sums(rows: Iterable[UsageRow]) -> dict[HourKey, list[int]]:
    """Requests, failed ones, prompt, completion and cached tokens and nanos, by the hour."""
    sums: dict[HourKey, list[int]] = {}
    for row in rows:
        key = HourKey(
            row.account_id,
            hour_of(row.ended_at_ms),
            row.key_id,
            row.model,
            row.service_class,
            row.endpoint,
        )
        total = sums.get(key)
        if total is None:
            total = sums[key] = [0, 0, 0, 0, 0, 0]
        total[0] += 1
        total[1] += row.status >= FAILED
        total[2] += row.prompt_tokens
        total[3] += row.completion_tokens
        total[4] += row.cached_tokens
        total[5] += row.amount_nanos
    return sums
