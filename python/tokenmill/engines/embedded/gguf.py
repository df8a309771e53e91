"""The metadata at the beginning of a GGUF file: chat template, context, vocabulary size.

Reads only the header, and of its arrays only what is asked for. Source: the GGUF specification.
"""

import struct
from pathlib import Path
from typing import Any, BinaryIO

from tokenmill.engines.embedded.model_source import ModelNotUsable

SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
STRING, ARRAY = 8, 9
PAIRS_MAX = 4_096
STRING_BYTES_MAX = 16 * 1024 * 1024
ITEMS_MAX = 4_000_000


def read_metadata(path: Path) -> dict[str, Any]:
    """The key-value pairs of a file's header. Raises: ModelNotUsable, if it is no GGUF file."""
    try:
        with path.open("rb") as file:
            return parse_metadata(file)
    except (OSError, struct.error, UnicodeDecodeError, KeyError, ValueError) as error:
        raise ModelNotUsable(f"{path} cannot be read as a GGUF file: {error}") from None


def parse_metadata(file: BinaryIO) -> dict[str, Any]:
    """The key-value pairs. Raises: ValueError, struct.error, KeyError for another format."""
    if file.read(4) != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    _number(file, "I")  # version
    _number(file, "Q")  # number of tensors
    pairs = _bounded(_number(file, "Q"), PAIRS_MAX)
    return {_string(file): _value(file, _number(file, "I")) for _ in range(pairs)}


def _number(file: BinaryIO, kind: str) -> Any:
    size = struct.calcsize(f"<{kind}")
    return struct.unpack(f"<{kind}", file.read(size))[0]


def _string(file: BinaryIO) -> str:
    size = _bounded(_number(file, "Q"), STRING_BYTES_MAX)
    return file.read(size).decode()


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == STRING:
        return _string(file)
    if kind != ARRAY:
        return _number(file, SCALARS[kind])
    inner = _number(file, "I")
    count = _bounded(_number(file, "Q"), ITEMS_MAX)
    return [_value(file, inner) for _ in range(count)]


def _bounded(number: int, most: int) -> int:
    if number > most:
        raise ValueError(f"a length of {number} is out of bounds")
    return number
