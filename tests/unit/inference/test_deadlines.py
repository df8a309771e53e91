"""Many waits share one timer, and only those that took too long are cancelled."""

import asyncio

import pytest

from tokenmill.inference.deadlines import Deadlines


async def waiting(deadlines: Deadlines, seconds: float, event: asyncio.Event) -> str:
    task = deadlines.begin(seconds)
    try:
        await event.wait()
    except asyncio.CancelledError:
        return "late" if deadlines.take_back(task) else "cancelled"
    finally:
        deadlines.end(task)
    return "done"


async def test_a_wait_that_ends_in_time_is_left_alone() -> None:
    event = asyncio.Event()
    task = asyncio.create_task(waiting(Deadlines(asyncio.get_running_loop()), 60, event))
    await asyncio.sleep(0)
    event.set()
    assert await task == "done"


async def test_only_the_late_ones_are_cancelled_and_each_in_its_time() -> None:
    deadlines, event = Deadlines(asyncio.get_running_loop()), asyncio.Event()
    waits = (60.0, 0.03, 0.01)  # the later ones bring the timer forward
    tasks = [asyncio.create_task(waiting(deadlines, each, event)) for each in waits]
    assert await tasks[2] == "late"
    assert await tasks[1] == "late"
    assert not tasks[0].done()
    event.set()
    assert await tasks[0] == "done"


async def test_a_task_goes_on_after_its_deadline_was_taken_back() -> None:
    async def survivor(deadlines: Deadlines) -> str:
        outcome = await waiting(deadlines, 0.01, asyncio.Event())
        await asyncio.sleep(0)
        return outcome

    assert await asyncio.create_task(survivor(Deadlines(asyncio.get_running_loop()))) == "late"


async def test_another_cancellation_is_not_taken_for_a_deadline() -> None:
    task = asyncio.create_task(waiting(Deadlines(asyncio.get_running_loop()), 60, asyncio.Event()))
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "cancelled"


@pytest.mark.parametrize("count", [1, 50])
async def test_a_finished_wait_is_forgotten(count: int) -> None:
    deadlines, event = Deadlines(asyncio.get_running_loop()), asyncio.Event()
    event.set()
    await asyncio.gather(*(waiting(deadlines, 60, event) for _ in range(count)))
    assert not vars(deadlines)["_ends"]
