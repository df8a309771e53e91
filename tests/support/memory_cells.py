"""Cells and account words in memory, with the calls of the hot segment that the keeper makes.

One thread at a time. `settle` is a whole request: it reserves nothing and leaves a settled cell.
"""

from struct import Struct as Packing

from msgspec import Struct

from tokenmill._native import CELL_BYTES, CELL_FORMAT
from tokenmill.control.settled_cells import CREDIT, DEBIT

PACK = Packing(CELL_FORMAT).pack
NOW_MS = 1_700_000_000_000


class Request(Struct, frozen=True, kw_only=True):
    """What a settled cell says of a request."""

    account_id: int = 1
    key_id: int = 1
    model: int = 77
    engine: int = 0
    service_class: int = 0
    endpoint: int = 0
    status: int = 200
    prompt_tokens: int = 10
    completion_tokens: int = 20
    cached_tokens: int = 0
    price_nanos: int = 100
    ended_ms: int = NOW_MS
    request_id: bytes = bytes(12)

    @property
    def amount_nanos(self) -> int:
        """What it costs."""
        return (self.prompt_tokens + self.completion_tokens) * self.price_nanos


class MemoryCells:
    """The words of accounts, and cells that wait for the ledger."""

    def __init__(self, incarnation: int = 7) -> None:
        self.incarnation = incarnation
        self.available: dict[int, int] = {}
        self.settled: dict[int, bytes] = {}
        self._ticket = 0

    def settle(self, request: Request) -> int:
        """A request that ended; its ticket."""
        ticket = self._next()
        self.settled[ticket] = record(ticket, request)
        word = self.available.get(request.account_id, 0)
        self.available[request.account_id] = word - request.amount_nanos
        return ticket

    def credit(self, account_id: int, nanos: int, *, reference: int, wall_ms: int) -> int:
        """Money for the account; the ticket."""
        ticket = self._next()
        head = (ticket, reference, account_id, 0, 0, nanos, *(0,) * 4, wall_ms, wall_ms, -1, 0, 0)
        self.settled[ticket] = PACK(*head, 0, 0, 0, 200, 65_535, CREDIT, 0, 0, 0, bytes(12))
        self.available[account_id] = self.available.get(account_id, 0) + nanos
        return ticket

    def open_credits(self) -> list[int]:
        """References of the credits that are not in the ledger."""
        given = (one for one in self.settled.values() if one[140] == CREDIT)
        return [int.from_bytes(one[8:16], "little") for one in given]

    def settled_cells(self, count_max: int, /) -> bytes:
        """The records of settled cells, oldest first."""
        return b"".join(list(self.settled.values())[:count_max])

    def free_cells(self, packed: bytes, /) -> int:
        """Frees these; how many."""
        tickets = [
            int.from_bytes(packed[at : at + 8], "little")
            for at in range(0, len(packed), CELL_BYTES)
        ]
        return sum(self.settled.pop(ticket, None) is not None for ticket in tickets)

    def rescue_control(self) -> int:
        """Nothing of a dead control is left half done here."""
        return 0

    def _next(self) -> int:
        self._ticket += 1
        return self._ticket


def record(ticket: int, request: Request) -> bytes:
    """The record of a settled debit."""
    price = request.price_nanos
    return PACK(
        ticket,
        0,
        request.account_id,
        request.key_id,
        request.model,
        -request.amount_nanos,
        2 * request.amount_nanos,
        price,
        price,
        price,
        request.ended_ms - 500,
        request.ended_ms,
        40,
        500,
        100,
        request.prompt_tokens,
        request.cached_tokens,
        request.completion_tokens,
        request.status,
        request.engine,
        DEBIT,
        request.service_class,
        request.endpoint,
        3,
        request.request_id,
    )


def held_record(account_id: int, request_id: bytes, nanos: int) -> bytes:
    """The record of a request that holds so much and has not ended."""
    head = (1, 0, account_id, 1, 77, 0, nanos, *(0,) * 8)
    return PACK(*head, 0, 0, 0, 0, 65_535, DEBIT, 0, 0, 0, request_id)
