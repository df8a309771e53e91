"""What a house does when more is asked of it than its engine can do: goodput, shares, refusals.

    python benches/load/overload.py [--workers 2] [--places 16] [--seconds 10]

The engine takes so many requests at once, each for 200 ms, so what it can do is known. Three
accounts of weights 1, 2 and 4 offer the same load, at times of their own (Poisson); together once,
twice, five and ten times what the engine can do. Client, engine and house share the cores.

A request is refused at once, or after it waited for a place and none came: `retry-after-ms` tells
which. Times are the client's, from when a request was due; how late the client itself was stands
beside them, and what the house says that it worked (Server-Timing, which has no waiting in it).
"""

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvloop
from watched_house import CHAT, WatchedHouse, look, machine, watched_house, write_results

TIERS = {"free": 1, "standard": 2, "pro": 4}
HOLD_S = 0.2
TOKENS = 4
FACTORS = (1, 2, 5, 10)
DRAIN_S = 20.0
_WORK = re.compile(rb"(?:key|decode|route|gateway);dur=([0-9.]+)")


@dataclass
class Tally:
    """What one account got in one run. Seconds."""

    offered: int = 0
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)  # at once
    sent_away: list[float] = field(default_factory=list)  # after a wait
    late: list[float] = field(default_factory=list)  # from when it was due until it was written
    worked: list[float] = field(default_factory=list)  # the house, on what it refused at once
    without_retry_after: int = 0
    other: dict[str, int] = field(default_factory=dict)


@dataclass
class Kept:
    """A connection, and what it was used for."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    answers: int = 0
    since: float = 0.0  # its last answer

    def story(self, error: Exception) -> str:
        """What a failure of it is counted as."""
        idle_s = time.perf_counter() - self.since
        kept = f"after {self.answers} answers, {idle_s:.1f} s idle" if self.answers else "new"
        return f"{type(error).__name__}: {kept}, {error}"


class Client:
    """Kept connections of one account."""

    def __init__(self, house: WatchedHouse, key: str) -> None:
        self.house = house
        body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": TOKENS})
        lines = [f"POST {CHAT} HTTP/1.1", "host: bench", f"authorization: Bearer {key}"]
        lines += ["content-type: application/json", f"content-length: {len(body)}", "", body]
        self.request = "\r\n".join(lines).encode()
        self.idle: list[Kept] = []

    async def ask(self, tally: Tally, due: float) -> None:
        """One request, which was due at that time."""
        tally.offered += 1
        kept = None
        try:
            kept = self.idle.pop() if self.idle else Kept(*await self.house.connect())
            tally.late.append(time.perf_counter() - due)
            status, head = await self._exchange(kept)
        except (OSError, asyncio.IncompleteReadError) as error:
            name = kept.story(error) if kept else f"not connected: {error}"
            tally.other[name] = tally.other.get(name, 0) + 1
            return
        took = time.perf_counter() - due
        if status == 200:
            tally.answered.append(took)
        elif status in (429, 503):
            has_waited = b"\r\nretry-after-ms: 1000\r\n" in head
            (tally.sent_away if has_waited else tally.refused).append(took)
            if not has_waited:
                tally.worked.append(sum(map(float, _WORK.findall(head))) / 1000)
            tally.without_retry_after += b"\r\nretry-after: " not in head
        else:
            tally.other[str(status)] = tally.other.get(str(status), 0) + 1

    async def _exchange(self, kept: Kept) -> tuple[int, bytes]:
        kept.writer.write(self.request)
        head = await kept.reader.readuntil(b"\r\n\r\n")
        _, _, length = head.partition(b"content-length: ")
        await kept.reader.readexactly(int(length.split(b"\r\n", 1)[0]))
        kept.answers, kept.since = kept.answers + 1, time.perf_counter()
        if b"\r\nconnection: close" in head:
            kept.writer.close()
        else:
            self.idle.append(kept)
        return int(head[9:12]), head


async def offer(
    client: Client, rate: float, until: float, tally: Tally, chance: random.Random
) -> None:
    """Requests at times of their own, whether earlier ones were answered or not."""
    asked: set[asyncio.Task[None]] = set()
    due = time.perf_counter()
    while (due := due + chance.expovariate(rate)) < until:
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        task = asyncio.create_task(client.ask(tally, due))
        asked.add(task)
        task.add_done_callback(asked.discard)
    async with asyncio.timeout(DRAIN_S):
        await asyncio.gather(*asked)


async def run(
    house: WatchedHouse, keys: dict[str, str], given: argparse.Namespace
) -> dict[str, Any]:
    capacity = given.places / HOLD_S
    found: dict[str, Any] = {"capacity_per_s": capacity, "runs": []}
    clients = {tier: Client(house, key) for tier, key in keys.items()}
    for factor in FACTORS:
        tallies = {tier: Tally() for tier in keys}
        for client in clients.values():
            client.idle.clear()  # the house closes those that are kept for long
        began = time.perf_counter()
        until = began + given.seconds
        rate = factor * capacity / len(keys)
        async with asyncio.TaskGroup() as tasks:
            for number, (tier, client) in enumerate(clients.items()):
                chance = random.Random(1_000 * factor + number)
                tasks.create_task(offer(client, rate, until, tallies[tier], chance))
        took = time.perf_counter() - began
        one = {"load": factor, **summed(tallies, took)}
        one["workers"] = {
            name: look(pid)["resident"]
            for name, pid in house.processes().items()
            if name.startswith("worker")
        }
        found["runs"].append(one)
        print(json.dumps(one), flush=True)
    return found


def summed(tallies: dict[str, Tally], took: float) -> dict[str, Any]:

    def times(name: str) -> list[float]:
        return sorted(each for tally in tallies.values() for each in getattr(tally, name))

    answered, refused, sent_away = map(times, ("answered", "refused", "sent_away"))
    return {
        "offered": sum(tally.offered for tally in tallies.values()),
        "answered": len(answered),
        "refused": len(refused),
        "sent_away_after_a_wait": len(sent_away),
        "refused_without_retry_after": sum(each.without_retry_after for each in tallies.values()),
        "other": {tier: tally.other for tier, tally in tallies.items() if tally.other},
        "goodput_per_s": round(len(answered) / took, 1),
        "share": {
            tier: round(len(tally.answered) / max(len(answered), 1), 3)
            for tier, tally in tallies.items()
        },
        "answered_ms": percentiles(answered),
        "refused_ms": percentiles(refused),
        "sent_away_ms": percentiles(sent_away),
        "client_late_ms": percentiles(times("late")),
        "house_worked_on_refused_ms": percentiles(times("worked")),
    }


def percentiles(sorted_s: list[float]) -> dict[str, float]:
    if not sorted_s:
        return {}
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    found = {name: sorted_s[int(part * (len(sorted_s) - 1))] for name, part in at.items()}
    return {name: round(1000 * each, 1) for name, each in (found | {"max": sorted_s[-1]}).items()}


def make_accounts(house: WatchedHouse) -> dict[str, str]:
    """An account of each tier, with money; its key by the tier's name."""
    keys = {}
    for tier in TIERS:
        call(house, "accounts", "create", tier, "--tier", tier)
        call(house, "wallet", "add", tier, "1000", "--reference", "bench")
        made = call(house, "keys", "create", "--account", tier, "--json")
        keys[tier] = json.loads(made)["secret"]
    return keys


def call(house: WatchedHouse, *words: str) -> str:
    command = [sys.executable, "-m", "tokenmill.cli", *words, "--state", str(house.state)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    reader = argparse.ArgumentParser(description="A house that is asked for too much.")
    reader.add_argument("--workers", type=int, default=2)
    reader.add_argument("--places", type=int, default=16)
    reader.add_argument("--seconds", type=float, default=10)
    reader.add_argument("--wait-ms", type=int, default=200)
    given = reader.parse_args()
    settings = {
        "TOKENMILL_WORKERS": str(given.workers),
        "TOKENMILL_QUEUE_ENGINE_REQUESTS_MAX": str(given.places),
        "TOKENMILL_QUEUE_WAIT_MS": str(given.wait_ms),
    }
    for tier in TIERS:
        settings[f"TOKENMILL_TIER_{tier.upper()}_REQUESTS_PER_MIN"] = "0"
        settings[f"TOKENMILL_TIER_{tier.upper()}_TOKENS_PER_MIN"] = "0"
    results = machine() | {"bench": "overload", "weights": TIERS, "hold_ms": 1000 * HOLD_S}
    results |= {"wait_ms": given.wait_ms, "places": given.places, "seconds": given.seconds}
    with watched_house(pause_ms=1000 * HOLD_S / TOKENS, settings=settings) as house:
        results |= uvloop.run(run(house, make_accounts(house), given))
        peak = httpx.get(f"{house.engine_url}/peak").json()["at_once"]
        results["most_at_once_in_the_engine"] = peak
    print(f"most at once in the engine: {peak}", write_results("overload", results), sep="\n")


if __name__ == "__main__":
    main()
