"""The metadata of GGUF headers."""

import io
import struct

import pytest

from tokenmill.engines.embedded.gguf import parse_metadata


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def header(*pairs: bytes) -> io.BytesIO:
    return io.BytesIO(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs))


def test_the_metadata_of_a_gguf_header_is_read() -> None:
    words = struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")
    found = parse_metadata(
        header(
            text("name") + struct.pack("<I", 8) + text("tiny"),
            text("length") + struct.pack("<II", 4, 2_048),
            text("tokens") + words,
        )
    )
    assert found == {"name": "tiny", "length": 2_048, "tokens": ["a", "b"]}


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"PK\x03\x04",
        b"GGUF",
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),  # more pairs than anybody writes
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**60),
    ],
)
def test_other_files_are_told_from_gguf(blob: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        parse_metadata(io.BytesIO(blob))
