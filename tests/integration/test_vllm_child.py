"""The child that holds a supervised vLLM, as the supervisor starts it; the vLLM is a sham."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.house import is_running
from tests.support.waiting import eventually
from tokenmill.child import ChildSettings, encode_child
from tokenmill.engines.vllm.leftover import end_leftover
from tokenmill.engines.vllm.port import hold_port
from tokenmill.settings import Settings, VllmSettings

ROOT = Path(__file__).parents[2]


class Holder:
    """A running child with its sham; `life` is the pipe that the supervisor would hold."""

    def __init__(self, state: Path, port_fd: int, *flags: str, start_s: float = 30.0) -> None:
        sham = (sys.executable, "-m", "tests.support.sham_vllm")
        vllm = VllmSettings(command=sham, arguments=flags, start_s=start_s)
        settings = Settings(state=state, model="some-model", drain_seconds=1, vllm=vllm)
        document = state / "settings"
        document.write_bytes(encode_child(ChildSettings(settings=settings)))
        life_fd, self.life = os.pipe()
        self.log = state / "log"
        with document.open("rb") as settings_file, self.log.open("ab") as log:
            kept = (port_fd, life_fd, settings_file.fileno())
            names = ("--listen-fd", "--life-fd", "--settings-fd")
            given = [word for pair in zip(names, map(str, kept), strict=True) for word in pair]
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tokenmill.engines.vllm", *given],
                pass_fds=kept,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )
        os.close(life_fd)

    def sham(self) -> int:
        """The process id of the sham."""
        return child_of(self.process.pid)

    def end(self, port: int) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.life)
        end_leftover(self.log.with_name("vllm.json"), port)


Start = Callable[..., Holder]


def child_of(parent: int) -> int:
    """The process id of the only child, when there is one."""
    children = Path(f"/proc/{parent}/task/{parent}/children")
    return eventually(lambda: int(children.read_text() or 0), "a child is started")


@pytest.fixture
def port_and_start(tmp_path: Path) -> Iterator[tuple[int, Start]]:
    """The held port, and what starts a child on it."""
    with ExitStack() as running, hold_port() as held:

        def start(*flags: str, start_s: float = 30.0) -> Holder:
            holder = Holder(tmp_path, held.fileno(), *flags, start_s=start_s)
            running.callback(holder.end, port)
            return holder

        port = int(held.getsockname()[1])
        yield port, start


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/version").status_code == 200
    except httpx.HTTPError:
        return False


def test_it_serves_on_the_held_port_and_leaves_when_told(
    port_and_start: tuple[int, Start],
) -> None:
    port, start = port_and_start
    with pytest.raises(httpx.ConnectError):  # held, and nobody listens yet
        httpx.get(f"http://127.0.0.1:{port}/version")
    holder = start()
    eventually(lambda: answers(port), "the sham answers")
    sham = holder.sham()
    holder.process.terminate()
    assert holder.process.wait(timeout=10) == 0
    assert not is_running(sham)


def test_it_leaves_when_the_supervisor_dies(port_and_start: tuple[int, Start]) -> None:
    port, start = port_and_start
    holder = start()
    eventually(lambda: answers(port), "the sham answers")
    sham = holder.sham()
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), holder.life)  # the pipe's last writer goes
    assert holder.process.wait(timeout=10) == 0
    assert not is_running(sham)


def test_what_the_engine_prints_is_in_the_log(port_and_start: tuple[int, Start]) -> None:
    port, start = port_and_start
    holder = start()
    eventually(lambda: answers(port), "the sham answers")
    text = eventually(
        lambda: next((x for x in holder.log.read_text().splitlines() if "said by" in x), None),
        "its words are logged",
    )
    assert '"level":"warning"' in text
    assert '"process":"vllm"' in text


def test_an_engine_that_ends_by_itself_ends_its_holder(
    port_and_start: tuple[int, Start],
) -> None:
    """The supervisor starts another one then."""
    _, start = port_and_start
    holder = start("--short-lived")
    assert holder.process.wait(timeout=20) == 1
    assert "ended by itself" in holder.log.read_text()


def test_an_engine_that_is_killed_ends_its_holder_with_all_it_left(
    port_and_start: tuple[int, Start],
) -> None:
    port, start = port_and_start
    holder = start()
    eventually(lambda: answers(port), "the sham answers")
    sham = holder.sham()
    left = child_of(sham)
    os.kill(sham, signal.SIGKILL)
    assert holder.process.wait(timeout=10) == 1
    eventually(lambda: not is_running(left), "what it left is ended")


def test_an_engine_that_does_not_come_up_is_given_up(port_and_start: tuple[int, Start]) -> None:
    _, start = port_and_start
    holder = start("--never-up", "--deaf", start_s=2.0)
    sham = holder.sham()
    assert holder.process.wait(timeout=30) == 1
    assert "not up in time" in holder.log.read_text()
    assert not is_running(sham)


def test_a_killed_holder_takes_its_engine_along(port_and_start: tuple[int, Start]) -> None:
    port, start = port_and_start
    holder = start()
    eventually(lambda: answers(port), "the sham answers")
    sham = holder.sham()
    holder.process.kill()
    eventually(lambda: not is_running(sham), "the sham ends with it")


def test_an_engine_that_outlived_its_holder_makes_room_for_the_next(
    port_and_start: tuple[int, Start],
) -> None:
    port, start = port_and_start
    holder = start("--deaf")
    eventually(lambda: answers(port), "the sham answers")
    old = holder.sham()
    holder.process.kill()
    holder.process.wait()
    assert is_running(old)
    following = start()
    eventually(lambda: not is_running(old), "the old one is ended")
    eventually(lambda: answers(port), "the new one answers")
    assert following.sham() != old


def test_what_an_engine_left_is_ended_by_the_next_holder(
    port_and_start: tuple[int, Start],
) -> None:
    """vLLM's server dies with its holder; processes of its own may not."""
    port, start = port_and_start
    holder = start()
    eventually(lambda: answers(port), "the sham answers")
    sham = holder.sham()
    left = child_of(sham)
    holder.process.kill()
    eventually(lambda: not is_running(sham), "the sham ends with its holder")
    assert is_running(left)
    start()
    eventually(lambda: not is_running(left), "what it left is ended")


def test_a_record_of_somebody_elses_process_harms_nobody(
    port_and_start: tuple[int, Start], tmp_path: Path
) -> None:
    """Process ids are given again: the one in the record may be another program by now."""
    port, start = port_and_start
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as innocent:
        try:
            record = f'{{"leader":{innocent.pid},"port":{port}}}'
            (tmp_path / "vllm.json").write_text(record)
            start()
            eventually(lambda: answers(port), "the sham answers")
            assert innocent.poll() is None
        finally:
            os.killpg(innocent.pid, signal.SIGKILL)
