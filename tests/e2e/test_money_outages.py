"""Money while something is away or full: a database that is killed, a house without a free cell.

`TOKENMILL_TEST_DATABASE_KILLS` says how often the database is killed (twice unless it is set).
"""

import os
import threading

import httpx
import pytest

from tests.e2e.conftest import StartHouse
from tests.e2e.test_money import billed, check_books
from tests.e2e.test_money_deaths import Metered
from tests.support.chat import LONG, PATH, body, start_streams
from tests.support.house import House
from tests.support.paced_engine import PacedEngine
from tests.support.postgresql import mortal_server
from tests.support.waiting import eventually

KILLS = int(os.environ.get("TOKENMILL_TEST_DATABASE_KILLS", "2"))
STREAMS = 4


class Asking:
    """Short requests one after the other, in a thread, until the end; `answered` counts them."""

    def __init__(self, house: House) -> None:
        self.answered = 0
        self._house = house
        self._is_enough = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_for_more(self, count: int) -> None:
        """Returns when so many more were answered."""
        wanted = self.answered + count
        eventually(lambda: self.answered >= wanted, "it goes on", within_s=30)

    def end(self) -> None:
        self._is_enough.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with self._house.client() as client:
            while not self._is_enough.is_set():
                answer = client.post(PATH, json=body(1))
                assert answer.status_code == 200, answer.text
                self.answered += 1


@pytest.mark.timeout(120 + 60 * KILLS)
def test_a_postgresql_that_is_killed_loses_and_doubles_nothing(start_house: StartHouse) -> None:
    """Nobody who asks notices; what settles while it is away is in the ledger afterwards."""
    with mortal_server() as server:
        house = start_house(environment={"TOKENMILL_DATABASE_URL": server.url})
        streams = [Metered(house) for _ in range(STREAMS)]
        asking = Asking(house)
        for _ in range(KILLS):
            asking.wait_for_more(5)
            server.kill()
            asking.wait_for_more(15)
            server.start()
            asking.wait_for_more(5)
        asking.end()
        for stream in streams:
            stream.wait()
        assert all(stream.is_whole for stream in streams)
        count = asking.answered + len(streams)
        eventually(lambda: billed(house)["requests"] == count, "all are billed", within_s=60)
        found = billed(house)
        made = asking.answered + sum(stream.seen for stream in streams)
        assert found["completion_tokens"] == made
        assert found["cost_nanos"] == 100 * (made + found["prompt_tokens"])
        check_books(house)
        assert house.stop() == 0


def test_a_house_without_a_free_cell_says_so_and_recovers(
    start_house: StartHouse, engine: PacedEngine
) -> None:
    cells = 16
    house = start_house(environment={"TOKENMILL_SEGMENT_CELLS_MAX": str(cells)})
    with house.client(limits=httpx.Limits(max_connections=None)) as client:
        streams = start_streams(client, cells, LONG)
        refused = client.post(PATH, json=body(1))
        assert refused.status_code == 503
        error = refused.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert (error["type"], error["code"]) == ("service_unavailable", "overloaded")
        assert int(refused.headers["retry-after"]) > 0
        engine.pause_s = 0
        assert all(stream.wait(60).is_whole for stream in streams)
        eventually(lambda: client.post(PATH, json=body(1)).status_code == 200, "room again")
    check_books(house)
