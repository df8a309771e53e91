"""A process without supervisor and the house after it: who serves the socket, and how long."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from tokenmill import handover
from tokenmill.child import ChildSettings, ChildStart
from tokenmill.control import __main__ as control
from tokenmill.handover import Handover, Predecessor
from tokenmill.listening import listen_tcp
from tokenmill.settings import Settings
from tokenmill.state_folder import handover_socket
from tokenmill.supervisor.predecessors import Predecessors, find_predecessors

SUCCESSOR_S = 2.0
LONGER_S = 1.25 * SUCCESSOR_S
PARTS: dict[str, handover.Part] = {"engine": "engine", "control": "control"}


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "SUCCESSOR_S", SUCCESSOR_S)


class Serving:
    """A process that serves a socket."""

    def __init__(self, state: Path, name: str) -> None:
        self.listener = listen_tcp("127.0.0.1", 0)
        part: handover.Part = "worker" if name.startswith("worker") else PARTS[name]
        self.path = handover_socket(state, name)
        self.handover = Handover(self.path, part, self.listener.fileno())
        self.has_left = asyncio.Event()

    @property
    def address(self) -> tuple[str, int]:
        """Where its clients come to."""
        host, port = self.listener.getsockname()
        return host, port

    def leave(self) -> None:
        """What a process does that is told."""
        self.has_left.set()
        self.handover.close()


@asynccontextmanager
async def serving(state: Path, name: str = "worker-0") -> AsyncIterator[Serving]:
    process = Serving(state, name)
    process.handover.open(asyncio.get_running_loop(), process.leave)
    try:
        yield process
    finally:
        process.handover.close()
        process.listener.close()


async def find(state: Path) -> Predecessors:
    """The supervisor of the next house looks: it blocks, so not in the loop of this test."""
    return await asyncio.to_thread(find_predecessors, state)


async def test_who_has_no_supervisor_and_no_heir_leaves(tmp_path: Path) -> None:
    async with serving(tmp_path) as process:
        process.handover.note_orphaned()
        assert not process.has_left.is_set()
        await asyncio.wait_for(process.has_left.wait(), 10)
        assert not process.handover.is_followed
        assert not process.path.exists()


async def test_an_heir_gets_the_socket_and_says_when_to_leave(tmp_path: Path) -> None:
    async with serving(tmp_path) as process:
        process.handover.note_orphaned()
        found = await find(tmp_path)
        shared = found.public(*process.address)
        assert shared is not None
        with shared:
            assert shared.getsockname() == process.listener.getsockname()
            assert not os.get_blocking(shared.fileno())
            await asyncio.sleep(LONGER_S)
            assert not process.has_left.is_set()
            found.dismiss()
            await asyncio.wait_for(process.has_left.wait(), 10)
            assert process.handover.is_followed
            assert not found
            process.listener.close()
            # The process is gone from it, and whoever connects waits for the heir.
            with socket.create_connection(shared.getsockname()):
                accepting = asyncio.get_running_loop().sock_accept(shared)
                connection, _ = await asyncio.wait_for(accepting, 10)
                connection.close()


async def test_an_heir_that_comes_before_the_death_was_seen_is_an_heir(tmp_path: Path) -> None:
    async with serving(tmp_path) as process:
        found = await find(tmp_path)
        process.handover.note_orphaned()
        await asyncio.sleep(LONGER_S)
        assert not process.has_left.is_set()
        found.dismiss()
        await asyncio.wait_for(process.has_left.wait(), 10)


async def test_an_heir_that_dies_leaves_the_time_to_another_one(tmp_path: Path) -> None:
    async with serving(tmp_path) as process:
        process.handover.note_orphaned()
        first = await find(tmp_path)
        await asyncio.sleep(LONGER_S)
        for each in first._serving:
            each.connection.close()
            each.listener.close()
        second = await find(tmp_path)
        assert second
        await asyncio.sleep(LONGER_S)
        assert not process.has_left.is_set()
        for each in second._serving:
            each.connection.close()
            each.listener.close()
        await asyncio.wait_for(process.has_left.wait(), 10)
        assert not process.handover.is_followed


async def test_an_engine_is_sent_away_by_the_one_that_takes_its_place(tmp_path: Path) -> None:
    async with serving(tmp_path, "engine") as engine, serving(tmp_path) as worker:
        found = await find(tmp_path)
        shared = found.shared("engine")
        assert shared is not None
        with shared:
            assert shared.getsockname() == engine.listener.getsockname()
            assert not os.get_blocking(shared.fileno())
        way = found.hand_on("engine")
        found.dismiss()
        await asyncio.wait_for(worker.has_left.wait(), 10)
        assert not engine.has_left.is_set()
        assert found.hand_on("engine") == -1
        handover.dismiss(way)
        await asyncio.wait_for(engine.has_left.wait(), 10)


PROCESS = """
import asyncio, sys, time
from pathlib import Path
from tokenmill.handover import Handover
from tokenmill.state_folder import handover_socket

async def serve(state, pause_s, descriptor):
    leaving = asyncio.Event()
    handover = Handover(handover_socket(Path(state), "control"), "control", int(descriptor))
    handover.open(asyncio.get_running_loop(), leaving.set)
    print("serves", flush=True)
    await leaving.wait()
    handover.close()
    time.sleep(float(pause_s))
    print("left", flush=True)

asyncio.run(serve(*sys.argv[1:]))
"""


@pytest.mark.parametrize(("pause_s", "last_word"), [("0.2", "left\n"), ("600", "")])
def test_the_control_that_follows_begins_when_the_other_is_gone(
    tmp_path: Path, pause_s: str, last_word: str
) -> None:
    """One that does not leave is killed."""
    with (
        listen_tcp("127.0.0.1", 0) as listener,
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path), pause_s, str(listener.fileno())],
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "serves\n"
        found = find_predecessors(tmp_path)
        found.dismiss()
        assert found.parts() == {"control"}
        with socket.create_connection(listener.getsockname()):
            handover.relieve(found.hand_on("control"))
        assert not found
        assert process.stdout.read() == last_word
        assert process.wait(10) == (0 if last_word else -9)


async def test_a_control_whose_follower_died_is_followed_by_another(tmp_path: Path) -> None:
    """It goes on meanwhile; beside it nobody else may be control."""
    async with serving(tmp_path, "control") as process:
        process.handover.note_orphaned()
        found = await find(tmp_path)
        os.close(found.hand_on("control"))
        assert found.parts() == frozenset()
        assert await asyncio.to_thread(found.look_for_control, tmp_path)
        assert not process.has_left.is_set()
        handover.dismiss(found.hand_on("control"))
        await asyncio.wait_for(process.has_left.wait(), 10)
        assert not found.look_for_control(tmp_path)


def test_a_follower_without_supervisor_leaves_the_other_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def leave(status: int) -> NoReturn:
        raise SystemExit(status)

    told: list[int] = []
    monkeypatch.setattr(control, "leave", leave)
    monkeypatch.setattr(control, "relieve", told.append)
    life_fd, writing = os.pipe()
    child = ChildSettings(settings=Settings())
    start = ChildStart(listen_fd=-1, life_fd=life_fd, child=child, predecessor_fd=7)
    control.follow(start)
    assert told == [7]
    os.close(writing)
    with pytest.raises(SystemExit):
        control.follow(start)
    assert told == [7]
    os.close(life_fd)


def test_whoever_is_gone_already_is_not_waited_for() -> None:
    here, there = socket.socketpair()
    there.close()
    handover.relieve(here.detach())


async def test_another_address_is_another_socket(tmp_path: Path) -> None:
    async with serving(tmp_path) as process:
        found = await find(tmp_path)
        host, port = process.address
        assert found.public(host, port + 1 if port < 65_535 else 1) is None
        assert found.public("::1", port) is None
        assert found.public(host, 0) is None
        found.dismiss()


async def test_what_a_dead_process_left_is_no_obstacle(tmp_path: Path) -> None:
    path = handover_socket(tmp_path, "worker-0")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    assert not await find(tmp_path)
    assert not path.exists()
    path.write_bytes(b"not a socket")
    assert not await find(tmp_path)
    async with serving(tmp_path) as process:
        (await find(tmp_path)).dismiss()
        await asyncio.wait_for(process.has_left.wait(), 10)


async def test_a_process_that_answers_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "ANSWER_S", 0.1)
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(handover_socket(tmp_path, "worker-0")))
        stopped.listen()
        assert not await find(tmp_path)


async def test_a_replaced_process_leaves_the_path_to_the_new_one(tmp_path: Path) -> None:
    async with serving(tmp_path, "engine") as old, serving(tmp_path, "engine") as new:
        old.leave()
        assert new.path.exists()
        found = await find(tmp_path)
        found.dismiss()
        await asyncio.wait_for(new.has_left.wait(), 10)


def test_who_has_left_by_itself_can_be_dismissed() -> None:
    here, there = socket.socketpair()
    there.close()
    with socket.socket() as listener:
        Predecessor("worker", here, listener).dismiss()
    assert here.fileno() == -1
