"""Locks, places and sockets of a house, on a real file system."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import eventually
from tokenmill._native import Segment, WorkerState
from tokenmill.supervisor.port_holder import find_port_holder
from tokenmill.supervisor.predecessors import Predecessors
from tokenmill.supervisor.refusal import Refused
from tokenmill.supervisor.slots import SlotError, Slots
from tokenmill.supervisor.sockets import base_url, listen_control, listen_public
from tokenmill.supervisor.state_lock import Holder, find_holder, take_lock

HOLD = "import sys, time; sys.stdin.read()"


def test_a_lock_is_held_by_one_and_says_by_whom(tmp_path: Path) -> None:
    state = tmp_path / "state"
    lock = take_lock(state)
    lock.describe(Holder(pid=42, url="http://here"))
    assert find_holder(state) == Holder(pid=42, url="http://here")
    with pytest.raises(Refused, match="process 42, which serves http://here"):
        take_lock(state)
    assert state.stat().st_mode & 0o777 == 0o700


def test_nobody_holds_a_folder_whose_house_ended(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text('{"pid": 1}')
    assert find_holder(tmp_path) is None
    assert find_holder(tmp_path / "nowhere") is None


def test_a_place_is_held_by_the_process_that_inherited_it(tmp_path: Path, segment: Segment) -> None:
    slots = Slots(tmp_path, segment, 2)
    slot, descriptor = slots.take(())
    assert segment.worker_state(slot) == WorkerState.STARTING
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, pass_fds=[descriptor]
    ) as worker:
        os.close(descriptor)
        # Another house, while the worker of the old one still lives.
        others = Slots(tmp_path, segment, 2)
        others.free_dead()
        assert segment.worker_state(slot) == WorkerState.STARTING
        other, held = others.take(())
        assert other != slot
        with pytest.raises(SlotError):
            others.take(())
        worker.kill()
        worker.wait()
        others.free_dead()
        assert segment.worker_state(slot) == WorkerState.FREE
        assert segment.worker_state(other) == WorkerState.STARTING
        os.close(held)


def test_the_control_socket_is_private_and_replaces_a_stale_one(tmp_path: Path) -> None:
    for _ in range(2):
        listener, path = listen_control(tmp_path, Predecessors([]))
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        listener.close()


def test_a_taken_port_is_refused_with_who_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"process {os.getpid()}" in find_port_holder(port)
        with pytest.raises(Refused, match=f"taken by process {os.getpid()}"):
            listen_public("127.0.0.1", port, Predecessors([]))
    eventually(lambda: find_port_holder(port) == "", "nobody has it")


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("0.0.0.0", "http://127.0.0.1:"),
        ("::1", "http://[::1]:"),
    ],
)
def test_the_base_url_is_one_that_clients_here_can_use(host: str, shown: str) -> None:
    with listen_public(host, 0, Predecessors([])) as listener:
        assert base_url(listener).startswith(shown)
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
