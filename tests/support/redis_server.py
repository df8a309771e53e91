"""A real Redis for the tests: the one that TOKENMILL_TEST_REDIS_URL names, or servers of our own on
free ports of the loopback, in memory alone.

A server can be paused, emptied, ended, and have a replica that takes its place.
"""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from redis import Redis
from redis.exceptions import RedisError

from tests.support.ports import fresh_port
from tests.support.services import require
from tests.support.waiting import eventually
from tokenmill.purses.connection import connect
from tokenmill.purses.script import SCRIPT, Names
from tokenmill.settings import RedisSettings

ADVICE = "install Redis's server (Debian: apt-get install redis-server)"
START_S = 30.0
_COUNT = itertools.count(1)


class RedisServer:
    """A running server. `client` is for tests that look."""

    def __init__(self, url: str, process: "subprocess.Popen[bytes] | None" = None) -> None:
        self.url = url
        self.process = process
        self.client: Any = Redis.from_url(url, protocol=2, socket_timeout=10)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def fresh_settings(self, **changes: Any) -> RedisSettings:
        """Settings with a prefix that no other test has, and patience for a busy machine."""
        prefix = f"test-{os.getpid()}-{next(_COUNT)}"
        return RedisSettings(
            **{"prefix": prefix, "answer_ms": 5_000, "connect_ms": 5_000} | changes
        )

    def stop(self) -> None:
        """The server is gone, as if its machine was."""
        assert self.process is not None, "only a server of our own is ended"
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(START_S)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The server's connections live, and nothing comes back."""
        assert self.process is not None, "only a server of our own is paused"
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


class TestPurses:
    """Purses without a keeper: what control would have put there."""

    __test__ = False

    def __init__(self, server: RedisServer, settings: RedisSettings) -> None:
        self.server = server
        self.settings = settings
        self._names = Names(settings.prefix)
        self._client: Any = connect(server.url, settings)
        self._client.set(self._names.server, f"{self._client.info('server')['run_id']} test")

    def put(self, account_id: int, nanos: int) -> None:
        """A purse with this balance and nothing else."""
        self._client.delete(self._names.purse(account_id))
        self.run(account_id, "open", nanos, 0, 0, 0)

    def run(self, account_id: int, deed: str, *arguments: str | int) -> list[Any]:
        """The script's answer."""
        key = self._names.purse(account_id)
        told: list[Any] = self._client.eval(SCRIPT, 1, key, deed, *arguments)
        return told

    def fields(self, account_id: int) -> dict[str, str]:
        """The whole purse."""
        found = self._client.hgetall(self._names.purse(account_id))
        return {name.decode(): value.decode() for name, value in found.items()}


@contextlib.contextmanager
def redis_server(
    *flags: str, password: str = "", port: int = 0, environment: dict[str, str] | None = None
) -> Iterator[RedisServer]:
    """A server of our own with more flags; `password` is what they made it ask for. On a free port
    unless one is named."""
    program = shutil.which("redis-server")
    if program is None:
        require("redis", ADVICE)
    port = port or fresh_port()
    folder = Path(tempfile.mkdtemp(prefix="tokenmill-redis-"))
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]
    with (folder / "log").open("wb") as log:
        variables = os.environ | (environment or {})
        process = subprocess.Popen([*command, *flags], stdout=log, stderr=log, env=variables)
    login = f":{quote(password)}@" if password else ""
    server = RedisServer(f"redis://{login}127.0.0.1:{port}", process)
    try:
        eventually(lambda: _answers(server), "Redis answers", within_s=START_S)
        yield server
    finally:
        server.client.close()
        server.stop()
        shutil.rmtree(folder)


@contextlib.contextmanager
def shared_redis() -> Iterator[RedisServer]:
    """The server of this test run: whoever breaks one takes a server of its own."""
    named = os.environ.get("TOKENMILL_TEST_REDIS_URL")
    if named:
        server = RedisServer(named)
        yield server
        server.client.close()
        return
    with redis_server() as server:
        yield server


def _answers(server: RedisServer) -> bool:
    try:
        return bool(server.client.ping())
    except RedisError:
        return False
