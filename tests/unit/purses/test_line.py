"""The connection to Redis: answers in pieces, in their order, and its end."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmill.purses.line import Incomplete, Line, LineLost, Refusal, decode, encode

ANSWERS = st.recursive(
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=20)),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


def as_sent(answer: Any) -> bytes:
    """How Redis sends it."""
    if answer is None:
        return b"$-1\r\n"
    if isinstance(answer, int):
        return b":%d\r\n" % answer
    if isinstance(answer, bytes):
        return b"$%d\r\n%b\r\n" % (len(answer), answer)
    return b"*%d\r\n" % len(answer) + b"".join(map(as_sent, answer))


class Wire:
    """A transport that notes what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.is_aborted = False

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.is_aborted = True


def connected() -> tuple[Line, Wire]:
    line, wire = Line(), Wire()
    line.connection_made(wire)  # type: ignore[arg-type]
    return line, wire


@given(answers=st.lists(ANSWERS, max_size=5), size=st.integers(1, 9))
def test_answers_come_whole_whatever_the_pieces(answers: list[Any], size: int) -> None:
    async def run() -> None:
        line, _ = connected()
        waiting = [line.ask("X") for _ in answers]
        data = b"".join(map(as_sent, answers))
        for start in range(0, len(data), size):
            line.data_received(data[start : start + size])
        assert [future.result() for future in waiting] == answers

    asyncio.run(run())


@given(answer=ANSWERS)
def test_a_part_of_an_answer_is_none(answer: Any) -> None:
    data = bytearray(as_sent(answer))
    assert decode(data, 0) == (answer, len(data))
    for end in range(len(data)):
        with pytest.raises(Incomplete):
            decode(data[:end], 0)


def test_a_command_is_sent_with_lengths_in_bytes() -> None:
    assert encode(("SET", "k", "é", 12)) == (
        b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\xc3\xa9\r\n$2\r\n12\r\n"
    )


async def test_errors_are_their_own_and_one_who_left_is_passed_over() -> None:
    line, _ = connected()
    left, refused, last = (line.ask("X") for _ in range(3))
    left.cancel()
    line.data_received(b":1\r\n-ERR no\r\n+OK\r\n")
    with pytest.raises(Refusal, match="ERR no"):
        await refused
    assert await last == b"OK"


@pytest.mark.parametrize("data", [b"HTTP/1.1 400\r\n", b":1\r\n:2\r\n", b":x\r\n"])
async def test_what_is_no_answer_ends_the_line(data: bytes) -> None:
    line, wire = connected()
    first = line.ask("X")
    line.data_received(data)
    assert (line.is_over, wire.is_aborted) == (True, True)
    assert first.done()
    first.exception()
    with pytest.raises(LineLost):
        await line.ask("X")


async def test_a_lost_connection_answers_nobody() -> None:
    line, _ = connected()
    waiting = [line.ask("X") for _ in range(2)]
    line.connection_lost(None)
    for future in waiting:
        with pytest.raises(LineLost, match="closed"):
            await future
