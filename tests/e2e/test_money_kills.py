"""SIGKILL over and over under streams that never pause: each request is billed once, by the last
usage that the gateway received of it.

`TOKENMILL_TEST_MONEY_KILLS` says how often, `TOKENMILL_TEST_MONEY_STREAMS` under how many streams
(200 and 50 for a long run), `TOKENMILL_TEST_MONEY_SEED` where the dice begin. What was not received
of cut streams is printed, not asserted: a worker's sockets are read when the processor has time.
"""

import json
import os
import random
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_kills import one_house_after_another, wait_until_whole
from tests.e2e.test_money import check_books
from tests.support.chat import PATH, body
from tests.support.house import House
from tests.support.paced_engine import PacedEngine, paced_engine
from tests.support.waiting import eventually
from tokenmill._native import Segment
from tokenmill.database.address import FILE_NAME
from tokenmill.state_folder import segment_path

VICTIMS = ("gateway.worker", "both", "all", "control", "gateway.worker", "gateway.worker")
KILLS = int(os.environ.get("TOKENMILL_TEST_MONEY_KILLS", "3"))
STREAMS = int(os.environ.get("TOKENMILL_TEST_MONEY_STREAMS", "12"))
SEED = int(os.environ.get("TOKENMILL_TEST_MONEY_SEED", "7"))
SPREAD_S = 1.0
WORDS = (5, 60)
PRICE = 100
PROMPT = 3
LAST_CELL_S = 60
WHOLE_S = 120


@dataclass
class Seen:
    """What a client saw of one stream: its id, its last usage, whether it was whole."""

    id: str = ""
    tokens: int = 0
    is_whole: bool = False


class Clients:
    """Threads that each ask for one stream after another until they are told to stop."""

    def __init__(self, house: House) -> None:
        limits = httpx.Limits(max_connections=STREAMS)
        self.seen: list[Seen] = []
        self._client = house.client(limits=limits)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(SEED * 1_000 + number),))
            for number in range(STREAMS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> list[Seen]:
        """All streams, when the last one has ended."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a stream goes on"
        self._client.close()
        return self.seen

    def _run(self, dice: random.Random) -> None:
        while not self._stopping.is_set():
            seen = Seen()
            self.seen.append(seen)
            try:
                self._ask(dice.randint(*WORDS), seen)
            except httpx.HTTPError:
                time.sleep(0.05)  # whoever it was is dead

    def _ask(self, words: int, seen: Seen) -> None:
        options = {"include_usage": True, "continuous_usage_stats": True}
        wish: dict[str, Any] = body(words, stream=True) | {"stream_options": options}
        with self._client.stream("POST", PATH, json=wish) as answer:
            if answer.status_code != 200:
                time.sleep(0.05)
                return
            seen.id = answer.headers["x-request-id"]
            for line in answer.iter_lines():
                if line == "data: [DONE]":
                    seen.is_whole = True
                elif line.startswith("data: {") and (usage := json.loads(line[6:]).get("usage")):
                    seen.tokens = max(seen.tokens, usage["completion_tokens"])


@pytest.mark.timeout(120 + 20 * KILLS)
def test_whatever_is_killed_each_request_is_billed_once_by_what_was_received(
    folder: Path,
) -> None:
    dice = random.Random(SEED)
    with (
        paced_engine(0.04) as engine,
        one_house_after_another(folder, "--engine", engine.url) as current,
    ):
        wait_until_whole(current(), WHOLE_S)
        clients = Clients(current())
        for number in range(KILLS):
            time.sleep(dice.uniform(0, SPREAD_S))  # the dice are what is tested
            kill(current(), VICTIMS[number % len(VICTIMS)])
            wait_until_whole(current(), WHOLE_S)
            check_sum(current())
        streams = clients.stop()
        check_no_cell_is_left(current())
        check_bill(current(), engine, streams)


def kill(house: House, victim: str) -> None:
    """Kills a process, a worker and control, or all of them."""
    if victim == "all":
        house.kill()
        return
    for each in ("gateway.worker", "control") if victim == "both" else (victim,):
        eventually(lambda each=each: house.children(each), f"{each} runs", within_s=WHOLE_S)
        house.kill_child(each)


def rows_of(house: House, statement: str) -> list[Any]:
    """What the database says."""
    path = f"file:{house.state / FILE_NAME}?mode=ro"
    with closing(sqlite3.connect(path, uri=True, timeout=30)) as database:
        return database.execute(statement).fetchall()


def check_sum(house: House) -> None:
    """All books together are nothing."""
    assert rows_of(house, "SELECT sum(balance_nanos) FROM books") == [(0,)]


def check_no_cell_is_left(house: House) -> None:
    segment = Segment.attach(str(segment_path(house.state)))
    eventually(lambda: segment.open_cells() == 0, "no cell is left", within_s=LAST_CELL_S)


def check_bill(house: House, engine: PacedEngine, streams: list[Seen]) -> None:
    columns = "request_id, prompt_tokens, completion_tokens, amount_nanos"
    rows = rows_of(house, f"SELECT {columns} FROM usage_rows")
    billed = {f"req_{row[0].hex()}": row[1:] for row in rows}
    assert len(billed) == len(rows), "a request is billed twice"
    seen = {each.id: each for each in streams if each.id}
    for request_id, (prompt, completion, nanos) in billed.items():
        assert nanos == PRICE * (prompt + completion)
        assert prompt in (0, PROMPT)
        made = engine.made.get(request_id, 0)
        at_least = seen[request_id].tokens if request_id in seen else 0
        assert at_least <= completion <= made, (request_id, at_least, completion, made)
    for each in seen.values():
        if each.is_whole:
            assert billed[each.id][1] == each.tokens == engine.made[each.id]
        else:
            assert each.id in billed or each.tokens == 0
    check_books(house)
    _print_gaps(engine, streams, {key: row[1] for key, row in billed.items()})


def _print_gaps(engine: PacedEngine, streams: list[Seen], billed: dict[str, int]) -> None:
    cut = [each for each in streams if each.id and not each.is_whole]
    unseen = [billed.get(each.id, 0) - each.tokens for each in cut]
    lost = [engine.made.get(each.id, 0) - billed.get(each.id, 0) for each in cut]
    counts = Counter("whole" if each.is_whole else "cut" for each in streams if each.id)
    print(
        f"{KILLS} kills under {STREAMS} streams: {dict(counts)}, {len(billed)} billed,"
        f" {sum(billed.values())} tokens; of cut streams the client did not see {sum(unseen)}"
        f" billed tokens ({max(unseen, default=0)} at most), the gateway did not receive"
        f" {sum(lost)} made ones ({max(lost, default=0)} at most)"
    )
