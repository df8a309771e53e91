"""What purses are asked and what they answer, as values. Pure."""

from typing import Any

from msgspec import Struct


class Terms(Struct, frozen=True):
    """What an account may do; 0 is no limit."""

    requests_per_min: int
    tokens_per_min: int
    concurrency_max: int


class Wish(Struct, frozen=True):
    """What a request wants to hold. `request_id`: unlike any other's."""

    request_id: str
    reserve_nanos: int
    tokens: int
    enforce: bool


class Answer(Struct, frozen=True):
    """A deed's answer. `number` is what `word` is about: a wait in microseconds, missing nanos.

    `is_known` off: nothing was done, because the purse is not there or closed.
    """

    word: str
    number: int
    requests_remaining: int
    requests_reset_ms: int
    tokens_remaining: int
    tokens_reset_ms: int

    @property
    def is_known(self) -> bool:
        return self.word not in ("unknown", "closed")

    @property
    def wait_ms(self) -> int:
        """The wait in whole milliseconds, after which it is surely over."""
        return max(-(-self.number // 1_000), 1)


class Look(Struct, frozen=True):
    """What is in a purse now."""

    levels: Answer
    available_nanos: int

    @property
    def in_flight(self) -> int:
        return self.levels.number


class Held(Struct, frozen=True):
    """A request that is not in the ledger yet: what it holds, or costs if it has ended."""

    request_id: str
    has_ended: bool
    house: int
    nanos: int
    made_at_s: int


class Purse(Struct, frozen=True):
    """All of a purse but its limits. `available` and the nanos of `held` are `ledger` together."""

    ledger_nanos: int
    line: int
    available_nanos: int
    held: list[Held]


def read_answer(told: list[Any]) -> Answer:
    """The answer in the script's own form."""
    return Answer(told[0].decode(), int(told[1]), *told[2:6])


def read_look(told: list[Any]) -> Look | None:
    """The answer to a look; None: there is no such purse."""
    levels = read_answer(told)
    return Look(levels, int(told[6])) if levels.is_known else None


def read_purse(fields: dict[bytes, bytes]) -> Purse | None:
    """A purse out of its hash; None: it is not there."""
    if not fields:
        return None
    return Purse(
        ledger_nanos=int(fields[b"ledger"]),
        line=int(fields[b"line"]),
        available_nanos=int(fields[b"available"]),
        held=[_held(name, text) for name, text in fields.items() if name.startswith(b"h:")],
    )


def _held(name: bytes, text: bytes) -> Held:
    state, house, nanos, _, made_at_s = text.split(b"|")
    return Held(
        request_id=name[2:].decode(),
        has_ended=state == b"S",
        house=int(house),
        nanos=int(nanos),
        made_at_s=int(made_at_s),
    )
