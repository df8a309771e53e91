"""What an open stream costs a worker, and an idle connection: memory, by many of them at once.

    python benches/load/open_streams.py [--streams 9950] [--idle 10000]

Every stream takes two descriptors of the worker, one to the client and one to the engine: of a hard
limit of 20,000, some 9,950 streams can be had. Each stream is seen to begin and, later, to go on.
"""

import argparse
import asyncio
import resource
from typing import Any

import uvloop
from watched_house import WatchedHouse, look, machine, watched_house, write_results

AT_ONCE = 200
PAUSE_MS = 20_000.0
Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def open_stream(house: WatchedHouse, turn: asyncio.Semaphore) -> Opened:
    """A stream whose first word has come."""
    async with turn, asyncio.timeout(300):
        reader, writer = await house.connect()
        writer.write(house.chat(max_tokens=1_000, stream=True))
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


async def run(stream_count: int, idle_count: int) -> dict[str, Any]:
    results = machine()
    # An idle connection may be kept for a minute: the longest that can be set.
    with watched_house(
        pause_ms=PAUSE_MS, settings={"TOKENMILL_HTTP_HEADER_READ_MS": "60000"}
    ) as house:
        worker = house.processes()["worker"]
        turn = asyncio.Semaphore(AT_ONCE)
        close_all([await open_stream(house, turn)])
        base = look(worker)
        opening = (open_idle(house, turn) for _ in range(idle_count))
        idle = await asyncio.gather(*opening)
        results["idle_connections"] = cost(base, look(worker), len(idle))
        close_all(idle)
        await asyncio.sleep(3)
        before = look(worker)
        begun = asyncio.gather(
            *(open_stream(house, turn) for _ in range(stream_count)), return_exceptions=True
        )
        streams = [each for each in await begun if isinstance(each, tuple)]
        results["streams"] = cost(before, look(worker), len(streams))
        results["streams"]["wanted"] = stream_count
        results["streams"]["went_on"] = await go_on(streams)
        close_all(streams)
        await asyncio.sleep(5)
        results["after_all_left"] = look(worker)
        fresh = await open_stream(house, turn)
        close_all([fresh])
    return results


def main() -> None:
    reader = argparse.ArgumentParser(description="Memory of open streams and idle connections.")
    reader.add_argument("--streams", type=int, default=9_950)
    reader.add_argument("--idle", type=int, default=10_000)
    given = reader.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    results = uvloop.run(run(given.streams, given.idle))
    print(results, write_results("open_streams", results), sep="\n")


if __name__ == "__main__":
    main()
