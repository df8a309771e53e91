"""What other accounts feel while one sends schemas, regexes and grammars that are made to stall.

    PYTHONPATH=. python benches/load/bombs.py [--workers 1] [--seconds 15] [--rounds 3]

One account asks for ordinary answers at times of its own (Poisson), half of them with a schema that
the house knows. In turns nobody else is there, or another account sends bombs as often as it may
bring new schemas (`grammar.new_schemas_per_minute_max`, in a burst and then evenly), or far more
often. Every bomb is a new one. What counts is the 99th percentile of the ordinary answers with
bombs over the one without, of neighbouring turns. Client, engine and house share the cores.
"""

import argparse
import asyncio
import itertools
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import uvloop
from overload import call, percentiles
from watched_house import CHAT, WatchedHouse, machine, watched_house, write_results

from tests.support.grammar_bombs import Bomb, bombs

HOLD_MS = 20
TOKENS = 4
ORDINARY_PER_S = 100.0
ALLOWED_PER_S = 2.0
BEYOND_PER_S = 50.0
TURNS = ("calm", "allowed", "calm", "beyond")
DRAIN_S = 60.0
MESSAGES = [{"role": "user", "content": "Hi"}]
KNOWN = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
}


@dataclass
class Tally:
    """What one account got in one turn. Seconds."""

    took: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    slowest: dict[str, float] = field(default_factory=dict)  # bombs, by name


class Client:
    """Kept connections of one account."""

    def __init__(self, house: WatchedHouse, key: str) -> None:
        self._house = house
        self._key = key
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, body: bytes, tally: Tally, name: str = "") -> None:
        """One request, and how long it took."""
        lines = [f"POST {CHAT} HTTP/1.1", "host: bench", f"authorization: Bearer {self._key}"]
        lines += ["content-type: application/json", f"content-length: {len(body)}", "", ""]
        began = time.perf_counter()
        kept = self._idle.pop() if self._idle else await self._house.connect()
        reader, writer = kept
        writer.write("\r\n".join(lines).encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        _, _, length = head.partition(b"content-length: ")
        answer = await reader.readexactly(int(length.split(b"\r\n", 1)[0]))
        took = time.perf_counter() - began
        status = head[9:12].decode()
        tally.took.append(took)
        tally.statuses[status if status == "200" else f"{status} {_code(answer)}"] += 1
        if name:
            tally.slowest[name] = max(took, tally.slowest.get(name, 0.0))
        if b"\r\nconnection: close" in head:
            writer.close()
        else:
            self._idle.append(kept)

    def close(self) -> None:
        """The house closes those that are kept for long."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()


def _code(answer: bytes) -> str:
    return str(json.loads(answer)["error"]["code"])


def ordinary(number: int) -> bytes:
    """A request like any; every other one has a schema that is known."""
    body: dict[str, Any] = {"messages": MESSAGES, "max_tokens": TOKENS}
    if number % 2:
        named = {"name": "it", "strict": True, "schema": KNOWN}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return json.dumps(body).encode()


def fresh(bomb: Bomb, number: int) -> bytes:
    """The bomb as nobody has sent it yet."""
    fields = json.loads(json.dumps(bomb[1]))
    if "response_format" in fields:
        schema = fields["response_format"]["json_schema"]["schema"]
        schema["$comment"] = str(number)
    elif "regex" in fields["structured_outputs"]:
        fields["structured_outputs"]["regex"] += f"|{number}"
    elif "choice" in fields["structured_outputs"]:
        fields["structured_outputs"]["choice"].append(str(number))
    else:
        fields["structured_outputs"]["grammar"] += f"\nn{number} ::= [a]"
    return json.dumps({"messages": MESSAGES, "max_tokens": TOKENS, **fields}).encode()


def all_bombs(count: int) -> list[tuple[str, bytes]]:
    """So many, each a new one; made before anything is timed."""
    known = bombs()
    return [(known[at % len(known)][0], fresh(known[at % len(known)], at)) for at in range(count)]


async def at_rate(rate: float, until: float, chance: random.Random, ask: Any) -> None:
    """Asks at times of its own, whether earlier ones were answered or not."""
    asked: set[asyncio.Task[None]] = set()
    due = time.perf_counter()
    while (due := due + chance.expovariate(rate)) < until:
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        task = asyncio.create_task(ask())
        asked.add(task)
        task.add_done_callback(asked.discard)
    async with asyncio.timeout(DRAIN_S):
        await asyncio.gather(*asked)


async def take_turn(
    clients: dict[str, Client], kind: str, seconds: float, supply: Iterator[tuple[str, bytes]]
) -> dict[str, Tally]:
    """One turn of ordinary requests, with bombs beside them or without."""
    tallies = {"other": Tally(), "bomber": Tally()}
    until = time.perf_counter() + seconds
    chance = random.Random(7)
    numbers = itertools.count()

    async def ask() -> None:
        await clients["other"].ask(ordinary(next(numbers)), tallies["other"])

    async def bomb() -> None:
        name, body = next(supply)
        await clients["bomber"].ask(body, tallies["bomber"], name)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(at_rate(ORDINARY_PER_S, until, chance, ask))
        if kind != "calm":
            rate = ALLOWED_PER_S if kind == "allowed" else BEYOND_PER_S
            tasks.create_task(at_rate(rate, until, random.Random(8), bomb))
    for client in clients.values():
        client.close()
    return tallies


async def run(clients: dict[str, Client], given: argparse.Namespace) -> dict[str, Any]:
    per_round = 1.5 * given.seconds * (ALLOWED_PER_S + BEYOND_PER_S)
    supply = iter(all_bombs(int(given.rounds * per_round)))
    await take_turn(clients, "calm", 3, supply)  # everything is loaded then
    turns: list[dict[str, Any]] = []
    slowest: dict[str, float] = {}
    for kind in TURNS * given.rounds:
        tallies = await take_turn(clients, kind, given.seconds, supply)
        other, bomber = tallies["other"], tallies["bomber"]
        turn = {
            "turn": kind,
            "other_ms": percentiles(sorted(other.took)),
            "other_statuses": dict(other.statuses),
            "bombs_ms": percentiles(sorted(bomber.took)),
            "bombs_statuses": dict(bomber.statuses),
        }
        for name, took in bomber.slowest.items():
            slowest[name] = max(took, slowest.get(name, 0.0))
        turns.append(turn)
        print(json.dumps(turn), flush=True)
    ranked = sorted(slowest.items(), key=lambda each: -each[1])
    return {
        "turns": turns,
        "p99_with_bombs_over_without": ratios(turns),
        "slowest_bombs_ms": {name: round(1000 * took, 1) for name, took in ranked[:10]},
    }


def ratios(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """The 99th percentile beside bombs over that of the calm turn before."""
    found: dict[str, list[float]] = {"allowed": [], "beyond": []}
    for calm, beside in itertools.pairwise(turns):
        if calm["turn"] == "calm":
            ratio = beside["other_ms"]["p99"] / calm["other_ms"]["p99"]
            found[beside["turn"]].append(round(ratio, 3))
    return {kind: {"median": statistics.median(each), "each": each} for kind, each in found.items()}


def make_account(house: WatchedHouse, name: str) -> Client:
    call(house, "accounts", "create", name, "--tier", "internal")
    call(house, "wallet", "add", name, "1000", "--reference", "bench")
    made = call(house, "keys", "create", "--account", name, "--json")
    return Client(house, json.loads(made)["secret"])


def main() -> None:
    reader = argparse.ArgumentParser(description="Bombs of one account beside another one.")
    reader.add_argument("--workers", type=int, default=1)
    reader.add_argument("--seconds", type=float, default=15)
    reader.add_argument("--rounds", type=int, default=3)
    given = reader.parse_args()
    results = machine() | {"bench": "bombs", "hold_ms": HOLD_MS, "seconds": given.seconds}
    results |= {"ordinary_per_s": ORDINARY_PER_S, "workers": given.workers}
    results |= {"allowed_per_s": ALLOWED_PER_S, "beyond_per_s": BEYOND_PER_S}
    settings = {"TOKENMILL_WORKERS": str(given.workers)}
    with watched_house(pause_ms=HOLD_MS / TOKENS, settings=settings) as house:
        clients = {name: make_account(house, name) for name in ("other", "bomber")}
        results |= uvloop.run(run(clients, given))
    print(json.dumps(results["p99_with_bombs_over_without"]))
    print(write_results("bombs", results))


if __name__ == "__main__":
    main()
