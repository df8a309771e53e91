"""Fresh identifiers, and the bound of those that databases count. Random bytes are read here and
nowhere else on the Python side."""

import secrets
from typing import Annotated

from msgspec import Meta

ROW_NUMBER_MAX = 2**63 - 1
"""What a column of either kind of database holds."""

RowNumber = Annotated[int, Meta(ge=0, le=ROW_NUMBER_MAX)]
"""A number out of a request that a database will compare."""

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_ID_BYTES = 12
_IDS_AT_ONCE = 64


def base62(length: int) -> str:
    """`length` random characters of [0-9A-Za-z], each with 5.95 bits of entropy."""
    return "".join(secrets.choice(BASE62) for _ in range(length))


class _RequestIds:
    """Request ids out of random bytes that are read for many at once: one system call for 64.

    Not for use across a fork, which would give both sides the same ids; nothing here forks.
    """

    def __init__(self) -> None:
        self._waiting: list[str] = []

    def __call__(self) -> str:
        """A new request id: `req_` and 96 random bits in hexadecimal."""
        if not self._waiting:
            text = secrets.token_hex(_ID_BYTES * _IDS_AT_ONCE)
            size = _ID_BYTES * 2
            self._waiting = ["req_" + text[at : at + size] for at in range(0, len(text), size)]
        return self._waiting.pop()


request_id = _RequestIds()
