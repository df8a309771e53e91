"""Counters are found by name, once, and counted into the worker's own row."""

from typing import cast

from tokenmill._native import COUNTERS, EndReason, Segment
from tokenmill.inference.counting import Counters

WORKER = 3


class Row:
    """A segment that only remembers what was counted."""

    def __init__(self) -> None:
        self.counted: dict[str, int] = {}
        self.observed: list[tuple[int, int]] = []

    def count(self, worker: int, counter: int, amount: int = 1) -> None:
        assert worker == WORKER
        self.counted[COUNTERS[counter]] = self.counted.get(COUNTERS[counter], 0) + amount

    def observe(self, worker: int, histogram: int, value_ms: int) -> None:
        assert worker == WORKER
        self.observed.append((histogram, value_ms))


def counters() -> tuple[Counters, Row]:
    row = Row()
    return Counters(cast("Segment", row), WORKER), row


def test_answers_are_counted_by_endpoint_and_class_of_status() -> None:
    counting, row = counters()
    counting.answered("chat_completions", 200, 12)
    counting.answered("chat_completions", 204, 13)
    counting.answered("models", 499, 1)
    assert row.counted == {
        'tokenmill_requests_total{endpoint="chat_completions",status="2xx"}': 2,
        'tokenmill_requests_total{endpoint="models",status="4xx"}': 1,
    }
    assert [value for _, value in row.observed] == [12, 13, 1]


def test_every_endpoint_and_every_refusal_has_a_counter() -> None:
    counting, row = counters()
    for endpoint in (
        "chat_completions",
        "completions",
        "embeddings",
        "models",
        "health",
        "control",
    ):
        for status in (200, 304, 404, 503):
            counting.answered(endpoint, status, 0)
    for reason in ("missing", "malformed", "unknown", "revoked", "expired", "scope"):
        counting.key_refused(reason)
    assert len(row.counted) == 30


def test_ends_are_counted_by_reason_and_complete_ones_are_not() -> None:
    counting, row = counters()
    for reason in (EndReason.STALLED, EndReason.COMPLETE, EndReason.DRAINED):
        counting.ended(reason)
    assert row.counted == {
        'tokenmill_engine_errors_total{kind="stalled"}': 1,
        "tokenmill_drained_total": 1,
    }
