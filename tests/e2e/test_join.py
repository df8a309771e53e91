"""`tokenmill join` beside engines: they come, leave in good order, and are gone when they die."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_money import ask
from tests.e2e.test_rolling_restart import command
from tests.support.chat import LONG, start_streams
from tests.support.house import House, house_command, house_environment, run_house
from tests.support.paced_engine import PacedEngine, paced_engine
from tests.support.waiting import eventually

ENVIRONMENT = {"TOKENMILL_JOIN_NETWORKS": "127.0.0.0/8", "TOKENMILL_JOIN_LEASE_MS": "6000"}
pytestmark = pytest.mark.timeout(120)


@contextlib.contextmanager
def joiner(
    house: House, engine: PacedEngine, token: str, *flags: str
) -> Iterator[subprocess.Popen[str]]:
    """The command as it runs beside an engine. The token is in its environment, not its arguments,
    which every user of the machine can read."""
    process = subprocess.Popen(
        house_command(
            "join", "--gateway", house.url, "--engine", engine.url, "--drain-seconds", "30", *flags
        ),
        env=house_environment({"TOKENMILL_ENGINE_TOKEN": token}),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_engines_come_leave_and_die(folder: Path) -> None:
    with (
        paced_engine() as first,
        paced_engine() as second,
        run_house(folder, command="serve", environment=ENVIRONMENT, wants_model=False) as house,
        house.client() as client,
    ):
        made = ask(house, "keys", "create", "--kind", "engine", "--name", "gpu")
        token = made["secret"]
        with (
            joiner(house, first, token, "--name", "one") as one,
            joiner(house, second, token, "--name", "two") as two,
        ):
            eventually(
                lambda: set(house.standings().items()) >= {("one", "serving"), ("two", "serving")},
                "both serve",
                within_s=30,
            )
            command(house, "drain", "two")
            [stream] = start_streams(client, 1, LONG)
            command(house, "undrain", "two")

            one.send_signal(signal.SIGTERM)
            eventually(lambda: house.standings().get("one") == "draining", "it drains")
            assert one.poll() is None, "it waits for the stream"
            begun = first.begun
            [other] = start_streams(client, 1, 2)
            assert other.wait().is_whole and first.begun == begun
            first.pause_s = 0
            assert stream.wait().is_whole
            assert one.wait(30) == 0

            two.kill()
            eventually(lambda: house.standings() == {}, "leases are over", within_s=30)

            ask(house, "keys", "revoke", str(made["key"]["id"]), "--yes")
            with joiner(house, first, token) as third:
                _, said = third.communicate(timeout=30)
            assert third.returncode == 1
            assert "revoked" in said and token not in said
            with joiner(house, first, f"{token[:-1]}?") as fourth:
                _, said = fourth.communicate(timeout=30)
            assert fourth.returncode == 1 and "keys create --kind engine" in said


def test_a_command_line_that_cannot_work_says_why(folder: Path) -> None:
    for flags, words in [
        ((), "--gateway"),
        (("--gateway", "http://127.0.0.1:1"), "TOKENMILL_ENGINE_TOKEN"),
        (("--gateway", "ftp://x", "--token", "x"), "ftp://"),
        (("--gateway", "http://no.such.invalid", "--token", "x"), "http://no.such.invalid"),
        (("--gateway", "http://127.0.0.1:1", "--token", "x", "--engine", "unix:/x"), "Unix socket"),
        (
            ("--gateway", "http://127.0.0.1:1", "--token", "x", "--advertise", "http://gpu:1"),
            "needs https",
        ),
        (("--gateway", "http://127.0.0.1:1", "--token-file", str(folder / "x")), "No such file"),
    ]:
        ended = subprocess.run(
            house_command("join", *flags),
            env=house_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode in (1, 2) and words in ended.stderr, ended.stderr
        assert "Traceback" not in ended.stderr
    assert os.listdir(folder) == []  # noqa: PTH208 - nothing was made
