"""SIGKILL at random instants under 50 streams, over and over: nobody's stream ends silently.

`TOKENMILL_TEST_KILL_ROUNDS` says how often (a round for each kind of process unless it is set), and
`TOKENMILL_TEST_KILL_SEED` where the dice begin. How long it took until a new request was answered,
and how long control was silent, is printed, not asserted: the machine may be busy.
"""

import contextlib
import os
import random
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import httpx
import pytest

from tests.support.chat import PATH, Stream, Streamed, body
from tests.support.house import House, is_running, run_house
from tests.support.paced_engine import PacedEngine
from tests.support.waiting import eventually

VICTIMS = ("nobody", "gateway.worker", "control", "supervisor")
ROUNDS = int(os.environ.get("TOKENMILL_TEST_KILL_ROUNDS", len(VICTIMS) + 1))
SEED = int(os.environ.get("TOKENMILL_TEST_KILL_SEED", "7"))
STREAMS = 50
WORDS = 60
SPREAD_S = 1.5
"""Within it a kill falls: at connections, first bytes, mid-streams and last bytes alike."""


def is_silent(seen: Streamed) -> bool:
    """Whether a stream looked whole to its client and was not."""
    return not (seen.is_done or seen.error or seen.broke)


Law = Callable[[Streamed], bool]
LAWS: dict[str, Law] = {
    # What a new request takes beside the streams: the measure for the others.
    "nobody": lambda seen: seen.is_whole,
    # A killed worker's own streams are cut, be it behind the last event; those of the other go on.
    "gateway.worker": lambda seen: seen.has_all or (bool(seen.broke) and not seen.is_done),
    "control": lambda seen: seen.is_whole,
    # Its streams end with an error event, or are refused with a status.
    "engines.embedded": lambda seen: seen.is_whole or (seen.error is not None and not seen.broke),
    # The children serve on until the next house does.
    "supervisor": lambda seen: seen.is_whole,
}


class ControlWatch:
    """Asks control again and again from now on; `silence_s`: the longest time without an answer."""

    def __init__(self, house: House) -> None:
        self.silence_s = 0.0
        self._house = house
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _ask(self) -> None:
        last = time.monotonic()
        is_last = False
        while not is_last:
            is_last = self._is_over.wait(0.02)
            if self._house.standings():
                now = time.monotonic()
                self.silence_s, last = max(self.silence_s, now - last), now
        # The last one may have failed.
        eventually(lambda: bool(self._house.standings()), "control answers", within_s=30)
        self.silence_s = max(self.silence_s, time.monotonic() - last)


@contextlib.contextmanager
def one_house_after_another(folder: Path, *flags: str) -> Iterator[Callable[[], House]]:
    """A house, and again one at the same address whenever the last one is dead."""
    with contextlib.ExitStack() as running:
        houses: list[House] = []

        def current() -> House:
            if houses and is_running(houses[-1].process.pid):
                return houses[-1]
            port = houses[-1].url.rpartition(":")[2] if houses else "0"
            # The log is the folder's: a house of its own folder each, with one state.
            place = folder / str(len(houses))
            place.mkdir()
            (folder / "kept").mkdir(exist_ok=True)
            (place / "state").symlink_to(folder / "kept")
            usual = ("--workers", "2", "--port", port)
            house = run_house(place, *usual, *flags, wants_model=False)
            houses.append(running.enter_context(house))
            return houses[-1]

        yield current


def answered(client: httpx.Client) -> bool:
    try:
        return client.post(PATH, json=body(1)).status_code == 200
    except httpx.HTTPError:
        return False


def wait_until_whole(house: House, within_s: float = 30) -> None:
    with house.client() as client:
        eventually(lambda: answered(client), "it serves", within_s=within_s)
    eventually(lambda: house.serving_workers() == 2, "two workers", within_s=within_s)


def wait_until_gone(processes: list[int]) -> None:
    eventually(lambda: not any(map(is_running, processes)), "they left", within_s=30)


def kill(house: House, victim: str) -> None:
    if victim == "supervisor":
        house.process.kill()
        house.process.wait()
    elif victim != "nobody":
        house.kill_child(victim)


@pytest.mark.timeout(60 + 30 * ROUNDS)
def test_no_stream_of_the_embedded_engine_ends_silently(folder: Path) -> None:
    """It has 32 places for the 50 streams, and shares the processors with what is started."""
    kill_over_and_over(folder, (*VICTIMS, "engines.embedded"))


@pytest.mark.timeout(60 + 30 * ROUNDS)
def test_no_stream_of_an_engine_elsewhere_ends_silently(folder: Path, engine: PacedEngine) -> None:
    """It has a place for everyone and the time of nobody: what is measured is the house."""
    kill_over_and_over(folder, VICTIMS, "--engine", engine.url)


def kill_over_and_over(folder: Path, victims: tuple[str, ...], *flags: str) -> None:
    """One after the other, under 50 streams each; prints how long a new request took, and how long
    control was silent, until all that was killed is replaced."""
    dice = random.Random(SEED)
    back_s: dict[str, list[float]] = defaultdict(list)
    silence_s: dict[str, list[float]] = defaultdict(list)
    fates: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    with one_house_after_another(folder, *flags) as current, ThreadPoolExecutor(1) as starter:
        for number in range(ROUNDS):
            victim = victims[number % len(victims)]
            house = current()
            wait_until_whole(house)
            limits = httpx.Limits(max_connections=STREAMS)
            # `fresh` has its certificates read and no connection: a house is timed, not a client.
            with house.client(limits=limits) as client, house.client() as fresh:
                streams = [Stream(client, WORDS) for _ in range(STREAMS)]
                time.sleep(dice.uniform(0, SPREAD_S))  # the dice are what is tested
                family = house.family()
                kill(house, victim)
                killed = time.monotonic()
                with ControlWatch(house) as control:
                    house_now = starter.submit(current)  # which waits until a new one stands
                    eventually(lambda: answered(fresh), "it serves again", within_s=30)
                    back_s[victim].append(time.monotonic() - killed)
                    if house_now.result() is not house:
                        wait_until_gone(family)
                silence_s[victim].append(control.silence_s)
                seen = [stream.wait(60) for stream in streams]
            for each in seen:
                assert not is_silent(each), (victim, each)
                assert LAWS[victim](each), (victim, each)
                fates[victim][_fate(each)] += 1
    for victim, times in back_s.items():
        print(
            f"{victim}: {len(times)} kills, answers again after {_spread(times)}, control silent"
            f" for {_spread(silence_s[victim])}; streams: {dict(fates[victim])}"
        )


def _spread(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} s (median), {max(times):.2f} s (worst)"


def _fate(seen: Streamed) -> str:
    if seen.is_whole:
        return "whole"
    return "cut" if seen.broke else "error"


def test_a_stream_that_looks_whole_and_is_not_would_be_noticed() -> None:
    assert is_silent(Streamed(status=200, events=[{}]))
