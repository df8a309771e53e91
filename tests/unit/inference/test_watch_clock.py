"""Clients are watched only when their answers take long, all on one timer."""

import asyncio
from typing import cast

from tokenmill.inference.client_watch import TICK_S, ClientWatch, WatchClock


class Watch:
    """Stands for a ClientWatch; notes when it was begun."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    def begin(self) -> None:
        self.begun.set()

    @property
    def itself(self) -> ClientWatch:
        return cast("ClientWatch", self)


async def test_a_long_wait_is_watched_after_one_to_two_ticks() -> None:
    loop = asyncio.get_running_loop()
    clock, watch = WatchClock(loop), Watch()
    began = loop.time()
    clock.add(watch.itself)
    await asyncio.wait_for(watch.begun.wait(), 5)
    assert loop.time() - began >= TICK_S


async def test_an_answer_that_came_in_time_is_never_watched() -> None:
    clock, quick, slow = WatchClock(asyncio.get_running_loop()), Watch(), Watch()
    clock.add(quick.itself)
    clock.add(slow.itself)
    clock.discard(quick.itself)
    await asyncio.wait_for(slow.begun.wait(), 5)
    assert not quick.begun.is_set()


async def test_the_clock_starts_again_after_a_pause() -> None:
    clock = WatchClock(asyncio.get_running_loop())
    for _ in range(2):
        watch = Watch()
        clock.add(watch.itself)
        await asyncio.wait_for(watch.begun.wait(), 5)
