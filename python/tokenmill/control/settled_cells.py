"""The records of settled cells as the hot segment gives them, turned into usage rows and credits.

Pure. The layout is the native module's; what the numbers mean stands in `usage/rules.py`.
"""

from collections.abc import Callable, Iterator
from struct import Struct as Packing
from typing import Any

from msgspec import Struct

from tokenmill._native import CELL_BYTES, CELL_FORMAT
from tokenmill.usage.rules import EMBEDDINGS_CLASS, EMBEDDINGS_ENDPOINT, UsageRow

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


def _usage_row(cell: tuple[Any, ...], incarnation: int, engine: int) -> UsageRow:
    """By place: this runs thousands of times a second, and names cost more than all the rest."""
    service_class, endpoint = cell[21], cell[22]
    if service_class == 0 and endpoint == EMBEDDINGS_ENDPOINT:
        service_class = EMBEDDINGS_CLASS
    return UsageRow(
        incarnation,
        cell[0],  # ticket
        cell[2],  # account
        cell[3],  # key
        cell[4],  # model
        engine,
        service_class,
        endpoint,
        cell[18],  # status
        cell[23],  # flags
        cell[10],  # began
        cell[11],  # ended
        cell[12],  # first byte
        cell[13],  # duration
        cell[15],  # tokens: prompt
        cell[17],  # completion
        cell[16],  # cached
        cell[7],  # prices: prompt
        cell[9],  # completion
        cell[8],  # cached
        cell[6],  # reserved
        -cell[5],  # what the balance changed by
        cell[24],  # request id
    )
