"""A real PostgreSQL for the tests: the one that TOKENMILL_TEST_POSTGRESQL_URL names, or a server of
our own in a temporary folder, on a Unix socket.

PostgreSQL refuses to run as root; it then runs as the user `postgres` that its package made.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.services import require

ADVICE = "install PostgreSQL's server (Debian: apt-get install postgresql)"
START_S = 30.0


class PostgresqlServer:
    """A server that gives each test an empty database of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._count = 0

    @contextmanager
    def empty_database(self) -> Iterator[str]:
        """The URL of a new database, which is dropped at the end."""
        self._count += 1
        name = f"tokenmill_test_{os.getpid()}_{self._count}"
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield with_database(self._url, name)
        finally:
            with psycopg.connect(self._url, autocommit=True) as connection:
                drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
                connection.execute(drop)


def with_database(url: str, name: str) -> str:
    """`url` with another database's name."""
    address, question, options = url.partition("?")
    return f"{address.rpartition('/')[0]}/{name}{question}{options}"


@contextmanager
def postgresql_server() -> Iterator[PostgresqlServer]:
    """The server of this test run."""
    named = os.environ.get("TOKENMILL_TEST_POSTGRESQL_URL")
    if named:
        yield PostgresqlServer(named)
        return
    programs = _find_programs()
    folder = Path(tempfile.mkdtemp(prefix="tokenmill-postgresql-"))
    try:
        with _running(programs, folder) as url:
            yield PostgresqlServer(url)
    finally:
        shutil.rmtree(folder)


def _find_programs() -> Path:
    """The folder of the newest server: Debian keeps it out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = found[-1] if found else shutil.which("initdb")
    if initdb is None:
        require("postgresql", ADVICE)
    return Path(initdb).parent


@contextmanager
def _running(programs: Path, folder: Path) -> Iterator[str]:
    user = _other_user()
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    data = folder / "data"
    options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"]
    made = subprocess.run(
        [programs / "initdb", "-D", data, *options],
        user=user,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    settings = [f"unix_socket_directories={folder}", "listen_addresses=", "fsync=off"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, *(part for s in settings for part in ("-c", s))],
            user=user,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    url = f"postgresql://postgres@/postgres?host={folder}"
    try:
        _wait(url, server, folder / "log")
        yield url
    finally:
        server.terminate()
        server.wait(START_S)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            alive = server.poll() is None and time.monotonic() < deadline
            assert alive, f"PostgreSQL did not start: {log.read_text()}"
            time.sleep(0.02)
        else:
            return


def _other_user() -> str | None:
    return "postgres" if os.geteuid() == 0 else None
