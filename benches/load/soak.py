"""Hours of mixed load at a part of what a worker can do: is memory flat, are descriptors, threads?

    pip install matplotlib     # for the picture alone
    python benches/load/soak.py [--minutes 20] [--share 0.8] [--places 8]

First some seconds at full speed say what can be done: by this machine, or by an engine that takes
so many requests at once; then that share of it, open loop: JSON answers, streams, streams that
their clients leave, wrong requests, fresh and kept connections. Writes a results file and, with
matplotlib, its picture beside it.
"""

import argparse
import asyncio
import contextlib
import itertools
import random
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop
from watched_house import WatchedHouse, cpu_s, look, machine, watched_house, write_results

SAMPLE_S = 5.0
CALIBRATION_S = 20.0
CALIBRATION_CLIENTS = 128
IN_FLIGHT_MAX = 400
GIVE_UP_S = 30.0
PANELS = (
    ("resident", "resident memory, MiB", 1024),
    ("descriptors", "descriptors", 1),
    ("threads", "threads", 1),
)
IDLE_S_MAX = 3.0
KINDS = (("json", 40), ("stream", 40), ("left", 10), ("wrong", 10))


Kept = tuple[float, asyncio.StreamReader, asyncio.StreamWriter]
"""A connection and since when it is idle."""


class Load:
    """Requests of all kinds; counts what came of them."""

    def __init__(self, house: WatchedHouse, seed: int) -> None:
        self.house = house
        self.dice = random.Random(seed)
        self.fates: Counter[str] = Counter()
        self.in_flight = 0
        self.kept: list[Kept] = []
        self.bodies = {
            "json": house.chat(max_tokens=5),
            "stream": house.chat(max_tokens=20, stream=True),
            "left": house.chat(max_tokens=20, stream=True),
            "wrong": house.chat(max_tokens=-1),
        }

    async def one(self) -> None:
        """One request of a kind that the dice choose."""
        (kind,) = self.dice.choices([kind for kind, _ in KINDS], [share for _, share in KINDS])
        self.in_flight += 1
        try:
            async with asyncio.timeout(GIVE_UP_S):
                self.fates[await self._ask(kind)] += 1
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.fates[f"failed: {kind}: {type(error).__name__}"] += 1
        finally:
            self.in_flight -= 1

    async def _ask(self, kind: str) -> str:
        reader, writer = await self._connection()
        is_kept = False
        try:
            writer.write(self.bodies[kind])
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            if kind == "left":
                await reader.readuntil(b"w2 ")
                return "left"
            if b"content-length: " in head:
                size = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(size)
            else:
                whole = await reader.readuntil(b"\r\n0\r\n\r\n")
                if b"[DONE]" not in whole:
                    return f"failed: {kind}: no end"
            wanted = 400 if kind == "wrong" else 200
            if status != wanted:
                return f"failed: {kind}: {status}"
            is_kept = True
            self.kept.append((time.monotonic(), reader, writer))
            return kind
        finally:
            if not is_kept:
                writer.transport.abort()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """One that was kept, four times of five; the gateway closes what is idle for long."""
        while self.kept and self.dice.random() < 0.8:
            since, reader, writer = self.kept.pop()
            if time.monotonic() - since < IDLE_S_MAX:
                return reader, writer
            writer.transport.abort()
        return await self.house.connect()


async def calibrate(load: Load, clients: int) -> float:
    """Requests a second at full speed."""
    ends = time.monotonic() + CALIBRATION_S

    async def ask() -> None:
        while time.monotonic() < ends:
            await load.one()

    before = load.fates.total()
    await asyncio.gather(*(ask() for _ in range(clients)))
    return (load.fates.total() - before) / CALIBRATION_S


async def soak(load: Load, rate: float, seconds: float, samples: list[dict[str, Any]]) -> None:
    """Requests at `rate`, and a sample of all processes every few seconds."""
    tasks: set[asyncio.Task[None]] = set()
    began = time.monotonic()
    sent, next_sample = 0, began
    while (now := time.monotonic()) - began < seconds:
        due = int((now - began) * rate) - sent
        for _ in range(due):
            sent += 1
            if load.in_flight >= IN_FLIGHT_MAX:
                load.fates["not sent: too many in flight"] += 1
                continue
            task = asyncio.create_task(load.one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if now >= next_sample:
            next_sample += SAMPLE_S
            samples.append(sample(load, now - began))
        await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)


def sample(load: Load, at_s: float) -> dict[str, Any]:
    seen: dict[str, Any] = {"at_s": round(at_s, 1), "requests": load.fates.total()}
    seen["log_bytes"] = load.house.log.stat().st_size
    for name, pid in load.house.processes().items():
        with contextlib.suppress(OSError):
            seen[name] = look(pid) | {"cpu_s": cpu_s(pid)}
    return seen


def slopes(samples: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """What each figure grows by in an hour, by a line through all but the first quarter."""
    later = samples[len(samples) // 4 :]
    found: dict[str, dict[str, float]] = {}
    for name in ("worker", "control", "supervisor"):
        rows = [(each["at_s"], each[name]) for each in later if name in each]
        found[name] = {}
        for figure in ("resident", "private", "descriptors", "threads"):
            xs, ys = [at for at, _ in rows], [row[figure] for _, row in rows]
            line = statistics.linear_regression(xs, ys)
            found[name][f"{figure}_an_hour"] = round(line.slope * 3600, 1)
    return found


def plot(results: dict[str, Any], path: Path) -> None:
    """The samples as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    samples = results["samples"]
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 7), sharex=True)
    minutes = [each["at_s"] / 60 for each in samples]
    for axis, (key, title, unit) in zip(axes.flat, PANELS, strict=False):
        for name in ("worker", "control", "supervisor"):
            axis.plot(minutes, [each[name][key] / unit for each in samples], label=name)
        axis.set_title(title)
        axis.set_ylim(bottom=0)
        axis.legend()
        axis.grid(alpha=0.3)
    rates = [
        (after["requests"] - before["requests"]) / (after["at_s"] - before["at_s"])
        for before, after in itertools.pairwise(samples)
    ]
    axes.flat[3].plot(minutes[1:], rates)
    axes.flat[3].set_title("requests a second")
    axes.flat[3].set_ylim(bottom=0)
    axes.flat[3].grid(alpha=0.3)
    for axis in axes[1]:
        axis.set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(path, dpi=90)


async def run(minutes: float, share: float, places: int | None) -> dict[str, Any]:
    settings = {"TOKENMILL_QUEUE_ENGINE_REQUESTS_MAX": str(places)} if places else {}
    with watched_house(pause_ms=10, settings=settings) as house:
        results = machine()
        load = Load(house, seed=1)
        capacity = await calibrate(load, 2 * places if places else CALIBRATION_CLIENTS)
        idle_before = {name: look(pid) for name, pid in house.processes().items()}
        print(
            f"capacity {capacity:.0f} requests/s; {share:.0%} of it for {minutes} min", flush=True
        )
        load.fates.clear()
        samples: list[dict[str, Any]] = []
        await soak(load, capacity * share, minutes * 60, samples)
        for _, _, writer in load.kept:
            writer.transport.abort()
        await asyncio.sleep(3)
        idle_after = {name: look(pid) for name, pid in house.processes().items()}
    return results | {
        "minutes": minutes,
        "capacity_per_s": round(capacity, 1),
        "share": share,
        "places": places,
        "outcomes": dict(sorted(load.fates.items())),
        "slopes": slopes(samples),
        "idle_before": idle_before,
        "idle_after": idle_after,
        "samples": samples,
    }


def main() -> None:
    reader = argparse.ArgumentParser(description="Mixed load for a while, and what grows.")
    reader.add_argument("--minutes", type=float, default=20)
    reader.add_argument("--share", type=float, default=0.8)
    reader.add_argument("--places", type=int, help="requests that the engine takes at once")
    given = reader.parse_args()
    results = uvloop.run(run(given.minutes, given.share, given.places))
    path = write_results("soak", results)
    print(results["outcomes"], results["slopes"], path, sep="\n")
    try:
        plot(results, path.with_suffix(".png"))
    except ImportError:
        print("no picture: matplotlib is not installed")


if __name__ == "__main__":
    main()
