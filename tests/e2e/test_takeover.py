"""A supervisor is killed, and the same command starts the next house: no client notices."""

import contextlib
import threading
import time
from pathlib import Path
from typing import Any, Self

import httpx

from tests.e2e.test_many_houses import make_account
from tests.support.chat import PATH, Stream, body
from tests.support.house import House, is_running, run_house
from tests.support.paced_engine import PacedEngine
from tests.support.waiting import eventually

WORDS = 40
CLIENTS = 3
LIMIT = 20
"""Requests a minute of the free tier."""


class Asking:
    """Clients that ask one request after another, and one of control; `failed`: whatever was not
    answered as it should be."""

    def __init__(self, house: House) -> None:
        self.failed: list[str] = []
        self.count = 0
        self._is_over = threading.Event()
        self._house = house
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        self._threads.append(threading.Thread(target=self._ask_control))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """They have their last answers when this returns."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._is_over.is_set():
            # A connection each: what is kept proves nothing about the socket.
            with self._house.client() as client:
                try:
                    answer = client.post(PATH, json=body(1))
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))
                    continue
            self.count += 1
            if answer.status_code != 200:
                self.failed.append(answer.text)

    def _ask_control(self) -> None:
        while not self._is_over.wait(0.02):
            if not self._house.standings():
                self.failed.append("control does not answer")


def next_house(
    first: House, folder: Path, *flags: str, **options: Any
) -> contextlib.AbstractContextManager[House]:
    """A house in the first one's place, as whoever keeps houses running starts it."""
    place = folder / "next"
    place.mkdir()
    (place / "state").symlink_to(first.state)
    port = first.url.rpartition(":")[2]
    return run_house(place, "--workers", "2", "--port", port, *flags, **options)


def test_no_request_fails_while_the_next_house_takes_over(folder: Path) -> None:
    """With the embedded engine, which is handed over too."""
    with run_house(folder, "--workers", "2") as first, first.client() as client:
        family = first.family()
        with Asking(first) as asking:
            streams = [Stream(client, WORDS) for _ in range(5)]
            assert all(stream.has_begun.wait(30) for stream in streams)
            first.process.kill()
            first.process.wait()
            with next_house(first, folder) as second:
                before = asking.count
                eventually(lambda: not any(map(is_running, family)), "they left", within_s=30)
                eventually(lambda: asking.count > before + CLIENTS, "the next one answers")
                assert second.events("taking over from a house without supervisor")
                assert all(stream.wait().is_whole for stream in streams)
                asking.stop()
        assert asking.failed == []


def test_a_house_of_other_sizes_takes_over_without_what_the_old_one_knew(folder: Path) -> None:
    """Two segments would give an account its limits twice: the processes of the old one let nobody
    in any more, and finish what they have."""
    with run_house(folder, "--workers", "2") as first, first.client() as client:
        family = first.family()
        streams = [Stream(client, WORDS) for _ in range(5)]
        assert all(stream.has_begun.wait(30) for stream in streams)
        first.process.kill()
        first.process.wait()
        with next_house(
            first, folder, environment={"TOKENMILL_SEGMENT_CELLS_MAX": "1024"}
        ) as second:
            assert second.events("processes of the house before leave at once")
            assert all(stream.wait().is_whole for stream in streams)
            eventually(lambda: not any(map(is_running, family)), "they left", within_s=30)
            with second.client() as fresh:
                assert fresh.post(PATH, json=body(1)).status_code == 200


def test_what_an_account_has_used_stays_used(folder: Path, engine: PacedEngine) -> None:
    """Twenty requests a minute are not forty over two houses."""
    flags = ("--engine", engine.url)
    with run_house(folder, "--workers", "2", *flags) as first:
        secret = make_account(first, "small", 10**9, "free")
        began = time.monotonic()
        answered = [status(first, secret) for _ in range(LIMIT)]
        first.process.kill()
        first.process.wait()
        with next_house(first, folder, *flags) as second:
            eventually(lambda: second.serving_workers() == 2, "it stands", within_s=30)
            answered += [status(second, secret) for _ in range(LIMIT)]
        allowed = LIMIT + LIMIT * (time.monotonic() - began) / 60
        assert set(answered) == {200, 429}
        assert LIMIT <= answered.count(200) <= allowed


def status(house: House, secret: str) -> int:
    """What a request of this key is answered."""
    headers = {"authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=house.url, headers=headers, timeout=30) as client:
        return client.post(PATH, json=body(1)).status_code
