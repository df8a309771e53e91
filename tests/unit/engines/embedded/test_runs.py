"""What of a request is counted, whatever way it ends."""

from collections.abc import Iterator

import pytest

from tokenmill.engines.embedded.errors import BadRequest
from tokenmill.engines.embedded.metrics import Metrics
from tokenmill.engines.embedded.pieces import Piece
from tokenmill.engines.embedded.runs import Run
from tokenmill.engines.embedded.sequence_workers import Sequences


def two_pieces_of_five_tokens() -> Iterator[Piece]:
    yield Piece(text="a")
    yield Piece(text="b", finish="stop", completion_tokens=5)


def refusing() -> Iterator[Piece]:
    yield from ()
    raise BadRequest("no")


async def finish(run: Run) -> None:
    while not run.is_finished:
        await run.take()


async def test_the_last_piece_corrects_the_count() -> None:
    metrics = Metrics()
    generation = Sequences(2, 2).start([two_pieces_of_five_tokens] * 4)
    with Run(generation, metrics, [10, 20], 2, "lora") as run:
        assert [run.prompt_tokens_of(index) for index in range(4)] == [10, 10, 20, 20]
        assert metrics.running_adapters == {"lora": 1}
        await finish(run)
        assert run.tokens == [5, 5, 5, 5]
        assert metrics.held_tokens == 2 * 30 + 20
    assert metrics.prompt_tokens == 30
    assert metrics.generation_tokens == 20
    assert metrics.finished == {"stop": 4}
    assert metrics.held_tokens == 0
    assert not metrics.running_adapters


async def test_what_is_abandoned_counts_what_came() -> None:
    metrics = Metrics()
    run = Run(Sequences(1, 1).start([two_pieces_of_five_tokens] * 2), metrics, [10], 2, None)
    run.close()
    run.close()
    assert metrics.finished == {"abort": 2}
    assert metrics.held_tokens == 0


async def test_a_failed_take_closes_the_run() -> None:
    metrics = Metrics()
    run = Run(Sequences(1, 0).start([refusing]), metrics, [10], 1, None)
    with pytest.raises(BadRequest):
        await run.take()
    assert metrics.finished == {"error": 1}
    assert metrics.held_tokens == 0
