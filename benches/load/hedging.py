"""What a second engine for late streams gives and costs: times to the first token.

    python benches/load/hedging.py [--seconds 30] [--rate 60]

Three engines begin a stream after 10 to 30 ms; one of them begins a share of its streams half a
second late. Streams of five words come at times of their own (Poisson), each with another prompt.
Every case runs with `routing.hedge` off and on, in a house of its own. Times are the client's, from
when a request was due until its first event. Beside them: what engines were asked beyond the
requests, streams they were left alone with, and what was billed against what clients received.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvloop
from watched_house import WatchedHouse, machine, watched_house, write_results

ENGINES = Path(__file__).with_name("late_engines.py")
SHARES = (0.0, 0.1, 0.5, 1.0)
WORDS = 5
SEED = 7
SEEN_FIRST = 200
"""Streams before the measured ones: it has to be known what late is."""


@dataclass
class Run:
    """What clients saw."""

    first_s: list[float] = field(default_factory=list)
    words: int = 0
    failed: int = 0


async def ask(house: WatchedHouse, number: int, due: float, run: Run) -> None:
    """One stream, on a connection of its own."""
    content = f"{number} {random.Random(number).random()}: say something."
    messages = [{"role": "user", "content": content}]
    request = house.chat(messages=messages, max_tokens=WORDS, stream=True)
    reader, writer = await house.connect()
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        first = await reader.readuntil(b"\n\n")
        run.first_s.append(time.perf_counter() - due)
        rest = first
        while b"[DONE]" not in rest and (more := await reader.read(65_536)):
            rest += more
        run.words += rest.count(b'"content":')
        run.failed += b" 200 " not in head.split(b"\r\n")[0] or b"[DONE]" not in rest
    except (OSError, asyncio.IncompleteReadError):
        run.failed += 1
    finally:
        writer.close()


async def offer(house: WatchedHouse, count: int, rate: float, run: Run) -> None:
    """So many streams at times of their own, whether earlier ones were answered or not."""
    chance = random.Random(SEED)
    due = time.perf_counter()
    asked = []
    for _ in range(count):
        due += chance.expovariate(rate)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked.append(asyncio.create_task(ask(house, chance.getrandbits(40), due, run)))
    await asyncio.gather(*asked)


def measured(share: float, *, hedge: bool, count: int, rate: float) -> dict[str, Any]:
    """One case in a house of its own."""
    command = [sys.executable, str(ENGINES), "--share", str(share), "--seed", str(SEED)]
    engines = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert engines.stdout is not None
        urls = [f"http://127.0.0.1:{int(port)}" for port in engines.stdout.readline().split()]
        settings = {"TOKENMILL_ROUTING_HEDGE": str(hedge).lower()}
        with watched_house(urls=urls, settings=settings) as house:
            uvloop.run(offer(house, SEEN_FIRST, rate, Run()))
            before, billed_before = counts(urls), billed(house)
            run = Run()
            uvloop.run(offer(house, count, rate, run))
            time.sleep(1)  # until the last cells are in the ledger
            after, billed_after = counts(urls), billed(house)
        return told(share, hedge, run, (before, after), billed_after - billed_before)
    finally:
        engines.kill()
        engines.wait()


def counts(urls: list[str]) -> dict[str, int]:
    """What all engines counted, and what the one counted that can be late."""
    each = httpx.get(f"{urls[0]}/counts").json()
    total = {name: sum(one[name] for one in each) for name in each[0]}
    return total | {"asked of the late one": each[-1]["asked"]}


def billed(house: WatchedHouse) -> int:
    """Completion tokens in the ledger."""
    command = [sys.executable, "-m", "tokenmill.cli", "usage", "local", "--json"]
    command += ["--state", str(house.state)]
    printed = subprocess.run(command, capture_output=True, check=True, env=os.environ).stdout
    return int(json.loads(printed)["total"]["completion_tokens"])


def told(
    share: float, hedge: bool, run: Run, seen: tuple[dict[str, int], dict[str, int]], billed: int
) -> dict[str, Any]:
    before, after = seen
    engines = {name: after[name] - before[name] for name in after}
    ordered = sorted(run.first_s)
    at = {f"p{share:g}": ordered[int(len(ordered) * share / 100)] for share in (50, 95, 99)}
    requests = len(ordered) + run.failed
    return {
        "late_share_of_one": share,
        "hedge": hedge,
        "streams": requests,
        "failed": run.failed,
        "first_token_ms": {name: round(1_000 * each, 1) for name, each in at.items()},
        "extra_requests_percent": round(100 * (engines["asked"] - requests) / requests, 2),
        "engines": engines,
        "words_received": run.words,
        "words_billed": billed,
    }


def main() -> None:
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    reader.add_argument("--seconds", type=float, default=30)
    reader.add_argument("--rate", type=float, default=60)
    asked = reader.parse_args()
    results = machine() | {"seconds": asked.seconds, "rate": asked.rate, "cases": []}
    count = int(asked.seconds * asked.rate)
    for share in SHARES:
        for hedge in (False, True):
            case = measured(share, hedge=hedge, count=count, rate=asked.rate)
            results["cases"].append(case)
            print(json.dumps(case), flush=True)
    print(write_results("hedging", results))


if __name__ == "__main__":
    main()
