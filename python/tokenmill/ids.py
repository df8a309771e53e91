"""Fresh identifiers. Random bytes are read here and nowhere else on the Python side."""

import secrets

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def base62(length: int) -> str:
    """`length` random characters of [0-9A-Za-z], each with 5.95 bits of entropy."""
    return "".join(secrets.choice(BASE62) for _ in range(length))


def request_id() -> str:
    """A new request id: `req_` and 96 random bits in hexadecimal, which cost a microsecond."""
    return "req_" + secrets.token_hex(12)
