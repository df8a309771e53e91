"""What an open stream costs a worker, and an idle connection: memory, by many of them at once.

    python benches/load/open_streams.py [--flowing 9900] [--behind 100] [--idle 10000]

A flowing stream takes two descriptors of the worker, one to the client and one to the engine: of a
hard limit of 20,000, some 9,950 of them can be had. Of one whose client is behind, the engine has
sent all and is free for others: it takes one. Each flowing stream is seen to begin and, later, to
go on; each that is behind is read to its end then.
"""

import argparse
import asyncio
import resource
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop
from pacing_engine import POUR
from watched_house import WatchedHouse, look, machine, watched_house, write_results

AT_ONCE = 200
PAUSE_MS = 20_000.0
SETTINGS = {
    # An idle connection may be kept for a minute: the longest that can be set.
    "TOKENMILL_HTTP_HEADER_READ_MS": "60000",
    # What a client that is behind has not read is more than what the system takes for it.
    "TOKENMILL_FORWARD_BUFFER_BYTES_MAX": str(16 * 1024 * 1024),
    "TOKENMILL_FORWARD_READER_STALL_MS": "600000",
}
POURED_WORDS = 2_000
"""Of 4 KiB each, where the system holds some 3 MB for a client that does not read."""
Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Opening = Callable[[WatchedHouse, asyncio.Semaphore], Awaitable[Opened]]


async def open_stream(house: WatchedHouse, turn: asyncio.Semaphore) -> Opened:
    """A stream whose first word has come."""
    async with turn, asyncio.timeout(300):
        reader, writer = await house.connect()
        writer.write(house.chat(max_tokens=1_000, stream=True))
        await reader.readuntil(b"w1 ")
        return reader, writer


async def fall_behind(house: WatchedHouse, turn: asyncio.Semaphore) -> Opened:
    """A stream whose first word has come, and whose others nobody reads."""
    async with turn, asyncio.timeout(300):
        reader, writer = await house.connect()
        writer.write(house.chat(POUR, max_tokens=POURED_WORDS, stream=True))
        await reader.readuntil(b"w1 ")
        return reader, writer


async def open_idle(house: WatchedHouse, turn: asyncio.Semaphore) -> Opened:
    """A connection that was answered once and is kept."""
    async with turn, asyncio.timeout(300):
        reader, writer = await house.connect()
        writer.write(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"}")
        return reader, writer


async def go_on(streams: list[Opened]) -> int:
    """How many of the streams have brought another word."""

    async def next_word(reader: asyncio.StreamReader) -> bool:
        async with asyncio.timeout(120):
            return bool(await reader.readuntil(b"w2 "))

    found = await asyncio.gather(*(next_word(each) for each, _ in streams), return_exceptions=True)
    return sum(each is True for each in found)


async def catch_up(streams: list[Opened]) -> int:
    """How many of the streams were behind and are read to their end, with every word."""

    async def read_all(reader: asyncio.StreamReader) -> bool:
        async with asyncio.timeout(300):
            for number in range(2, POURED_WORDS + 1):
                await reader.readuntil(b'"w%d ' % number)
            return bool(await reader.readuntil(b"[DONE]"))

    found = [await read_all(reader) for reader, _ in streams]
    return sum(found)


def close_all(opened: list[Opened]) -> None:
    for _, writer in opened:
        writer.transport.abort()


def cost(before: dict[str, int], after: dict[str, int], count: int) -> dict[str, Any]:
    """Worker memory before and after, and the share of each of `count`."""
    grown = after["resident"] - before["resident"]
    return {
        "count": count,
        "resident_kib_before": before["resident"],
        "resident_kib": after["resident"],
        "kib_each": round(grown / max(count, 1), 1),
        "descriptors": after["descriptors"],
    }


async def run(flowing: int, behind: int, idle_count: int) -> dict[str, Any]:
    results = machine()
    with watched_house(pause_ms=PAUSE_MS, settings=SETTINGS) as house:
        worker = house.processes()["worker"]
        turn = asyncio.Semaphore(AT_ONCE)
        close_all([await open_stream(house, turn)])
        base = look(worker)
        idle = await open_many(open_idle, idle_count, house, turn)
        results["idle_connections"] = cost(base, look(worker), len(idle))
        close_all(idle)
        await asyncio.sleep(3)
        lagging = await open_many(fall_behind, behind, house, turn)
        await asyncio.sleep(3)
        before = look(worker)
        streams = await open_many(open_stream, flowing, house, turn)
        after = look(worker)
        results["behind"] = {"count": len(lagging), "descriptors": before["descriptors"]}
        results["streams"] = cost(before, after, len(streams))
        results["streams"]["wanted"] = flowing
        results["streams"]["open_at_once"] = len(lagging) + len(streams)
        results["streams"]["went_on"] = await go_on(streams)
        results["behind"]["read_to_the_end"] = await catch_up(lagging)
        close_all(streams + lagging)
        await asyncio.sleep(5)
        results["after_all_left"] = look(worker)
        fresh = await open_stream(house, turn)
        close_all([fresh])
    return results


async def open_many(
    opening: Opening, count: int, house: WatchedHouse, turn: asyncio.Semaphore
) -> list[Opened]:
    """Those of `count` that could be opened."""
    begun = await asyncio.gather(
        *(opening(house, turn) for _ in range(count)), return_exceptions=True
    )
    return [each for each in begun if isinstance(each, tuple)]


def main() -> None:
    reader = argparse.ArgumentParser(description="Memory of open streams and idle connections.")
    reader.add_argument("--flowing", type=int, default=9_900)
    reader.add_argument("--behind", type=int, default=100)
    reader.add_argument("--idle", type=int, default=10_000)
    given = reader.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    results = uvloop.run(run(given.flowing, given.behind, given.idle))
    print(results, write_results("open_streams", results), sep="\n")


if __name__ == "__main__":
    main()
