"""The records of settled cells as the hot segment gives them, turned into usage rows and credits.

Pure. The layout is the native module's; what the numbers mean stands in `usage/rules.py`.
"""

from collections.abc import Callable, Iterator
from struct import Struct as Packing

from msgspec import Struct

from tokenmill.usage.rules import EMBEDDINGS_CLASS, EMBEDDINGS_ENDPOINT, UsageRow

CELL_FORMAT = "<15q3I2H4B12s40x"
CELL_BYTES = 192

DEBIT, CREDIT = 1, 2

_PACKING = Packing(CELL_FORMAT)


class CreditCell(Struct, frozen=True):
    """Money that an account's word got; `reference` is the number of the credit's row."""

    ticket: int
    reference: int
    account_id: int
    amount_nanos: int


class Settled(Struct, frozen=True):
    """Cells that wait to be part of the ledger."""

    rows: list[UsageRow]
    credits: list[CreditCell]


def decode_cells(packed: bytes, incarnation: int, engine_number: Callable[[int], int]) -> Settled:
    """What the records say. `engine_number` gives the number of the engine in a slot."""
    rows, given = [], []
    for cell in _PACKING.iter_unpack(packed):
        if cell[20] == CREDIT:
            given.append(CreditCell(cell[0], cell[1], cell[2], cell[5]))
        else:
            rows.append(_usage_row(cell, incarnation, engine_number(cell[19])))
    return Settled(rows, given)


def records_of(packed: bytes) -> Iterator[bytes]:
    """Each record by itself."""
    for at in range(0, len(packed), CELL_BYTES):
        yield packed[at : at + CELL_BYTES]


def _usage_row(cell: tuple[int, ...], incarnation: int, engine: int) -> UsageRow:
    (ticket, _, account_id, key_id, model, amount_nanos, reserved_nanos, *rest) = cell
    (prompt_price, cached_price, completion_price, began_ms, ended_ms, *rest) = rest
    (first_byte_ms, duration_ms, _, prompt, cached, completion, status, _, *rest) = rest
    (_, service_class, endpoint, flags, request_id) = rest
    if service_class == 0 and endpoint == EMBEDDINGS_ENDPOINT:
        service_class = EMBEDDINGS_CLASS
    return UsageRow(
        incarnation=incarnation,
        ticket=ticket,
        account_id=account_id,
        key_id=key_id,
        model=model,
        engine=engine,
        service_class=service_class,
        endpoint=endpoint,
        status=status,
        flags=flags,
        began_at_ms=began_ms,
        ended_at_ms=ended_ms,
        first_byte_ms=first_byte_ms,
        duration_ms=duration_ms,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        prompt_price_nanos=prompt_price,
        completion_price_nanos=completion_price,
        cached_price_nanos=cached_price,
        reserved_nanos=reserved_nanos,
        amount_nanos=-amount_nanos,
        request_id=request_id,  # type: ignore[arg-type]  # the one field that is bytes
    )
