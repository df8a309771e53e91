"""The bridge between blocking iterators on threads and the event loop."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from tokenmill.engines.embedded.errors import BadRequest, Busy, EngineError
from tokenmill.engines.embedded.pieces import Piece
from tokenmill.engines.embedded.sequence_workers import Generation, Sequences

END = Piece(text="", finish="stop")


class Tap:
    """A sequence that gives a piece each time `flow` is released, and tells when it is dropped."""

    def __init__(self) -> None:
        self.flow = threading.Semaphore(0)
        self.is_dropped = threading.Event()
        self.is_open = threading.Event()

    def __call__(self) -> Iterator[Piece]:
        self.is_open.set()
        try:
            while True:
                assert self.flow.acquire(timeout=10)
                yield Piece(text="x")
        finally:
            self.is_dropped.set()


def letters(text: str) -> Iterator[Piece]:
    yield from (Piece(text=letter) for letter in text)
    yield END


async def texts(generation: Generation, count: int) -> list[str]:
    found = [""] * count
    while not generation.is_finished:
        for index, piece in await generation.take():
            found[index] += piece.text
    return found


async def test_every_sequence_keeps_its_order_and_its_index() -> None:
    sequences = Sequences(2, 8)
    words = ["abcdef", "", "xyz", "0123456789"]
    with sequences.start([partial(letters, word) for word in words]) as generation:
        assert await texts(generation, len(words)) == words
    assert sequences.waiting == 0


async def test_a_full_queue_takes_nothing_of_a_request() -> None:
    sequences = Sequences(1, 1)
    tap = Tap()
    with sequences.start([tap]):
        tap.is_open.wait(10)
        with pytest.raises(Busy):
            sequences.start([lambda: letters("a"), lambda: letters("b")])
        with sequences.start([lambda: letters("a")]) as waiting:
            assert (sequences.running, sequences.waiting) == (1, 1)
            tap.flow.release()
        assert waiting.is_closed
        assert sequences.waiting == 0
    tap.flow.release()
    assert tap.is_dropped.wait(10)


async def test_more_than_can_ever_be_admitted_is_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        Sequences(1, 1).start([lambda: letters("")] * 3)


async def test_a_closed_generation_drops_its_iterator_at_the_next_piece() -> None:
    sequences = Sequences(1, 0)
    tap = Tap()
    generation = sequences.start([tap])
    tap.flow.release()
    assert await generation.take() == [(0, Piece(text="x"))]
    generation.close()
    assert not tap.is_dropped.is_set()
    tap.flow.release()
    assert tap.is_dropped.wait(10)


async def test_what_waits_behind_a_closed_one_runs() -> None:
    sequences = Sequences(1, 1)
    tap = Tap()
    first = sequences.start([tap])
    with sequences.start([lambda: letters("next")]) as second:
        first.close()
        tap.flow.release()
        assert await texts(second, 1) == ["next"]


def refusing() -> Iterator[Piece]:
    yield Piece(text="a")
    raise BadRequest("no")


def failing() -> Iterator[Piece]:
    yield Piece(text="a")
    raise RuntimeError("Already borrowed")


def endless() -> Iterator[Piece]:
    yield Piece(text="a")  # and then nothing: no finish reason


@pytest.mark.parametrize(
    ("opener", "status"),
    [(refusing, 400), (failing, 500), (endless, 500)],
)
async def test_a_sequence_that_fails_fails_its_request(opener: object, status: int) -> None:
    assert callable(opener)
    with (
        Sequences(1, 0).start([opener]) as generation,
        pytest.raises(EngineError) as caught,
    ):
        await texts(generation, 1)
    assert caught.value.status == status


async def test_a_failure_hurts_no_other_request() -> None:
    sequences = Sequences(2, 2)
    with (
        sequences.start([failing]) as bad,
        sequences.start([lambda: letters("good")]) as good,
    ):
        assert await texts(good, 1) == ["good"]
        with pytest.raises(EngineError):
            await texts(bad, 1)
