"""A number for a name, the same in every process and house: what cells hold for a model id."""

import hashlib

_LOW_63_BITS = (1 << 63) - 1


def model_number(name: str) -> int:
    """63 bits of SHA-256 of `name`: they fit a signed 64-bit column. Two names that share a number
    are not to be expected before there are billions of them."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) & _LOW_63_BITS
