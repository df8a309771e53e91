"""A real PostgreSQL for the tests: the one that TOKENMILL_TEST_POSTGRESQL_URL names, or a server of
our own in a temporary folder: on a Unix socket for everybody, and on the loopback with TLS and a
password.

PostgreSQL refuses to run as root; it then runs as the user `postgres` that its package made.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pg8000

from tests.support.house import child_pids, is_running
from tests.support.ports import fresh_port
from tests.support.services import require
from tests.support.waiting import eventually
from tokenmill.database.postgresql import open_connection
from tokenmill.database.server_address import parse_server

ADVICE = "install PostgreSQL's server (Debian: apt-get install postgresql)"
START_S = 30.0

CERTIFICATES = Path(__file__).parent / "certificates"
ACCESS = """\
local all all trust
hostssl all all 127.0.0.1/32 scram-sha-256
"""


class PostgresqlServer:
    """A server that gives each test an empty database of its own."""

    def __init__(self, url: str, port: int | None = None) -> None:
        """`port` on the loopback, if it takes connections with TLS and a password there."""
        self._url = url
        self._count = 0
        self.port = port

    @contextmanager
    def empty_database(self) -> Iterator[str]:
        """The URL of a new database, which is dropped at the end."""
        self._count += 1
        name = f"tokenmill_test_{os.getpid()}_{self._count}"
        run(self._url, f'CREATE DATABASE "{name}"')
        try:
            yield with_database(self._url, name)
        finally:
            run(self._url, f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def outage(server_url: str, url: str) -> Iterator[None]:
    """The database is away: its connections are cut and new ones refused until the end."""
    name = url.partition("?")[0].rpartition("/")[2]
    elsewhere = with_database(server_url, "postgres")
    run(elsewhere, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    try:
        # With the time that each is given to end in: until then it could still commit.
        cut = "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE datname = "
        run(elsewhere, f"{cut}'{name}'")
        yield
    finally:
        run(elsewhere, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def run(url: str, statement: str) -> None:
    """Runs one statement in no transaction, which is how databases are made and dropped."""
    connection = open_connection(parse_server(url.partition("://")[2]))
    try:
        connection.autocommit = True
        connection.run(statement)
    finally:
        connection.close()


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
    programs = find_programs()
    folder = Path(tempfile.mkdtemp(prefix="tokenmill-postgresql-"))
    try:
        with _running(programs, folder) as server:
            yield server
    finally:
        shutil.rmtree(folder)


def find_programs() -> Path:
    """The folder of the newest server: Debian keeps it out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = found[-1] if found else shutil.which("initdb")
    if initdb is None:
        require("postgresql", ADVICE)
    return Path(initdb).parent


@contextmanager
def _running(programs: Path, folder: Path) -> Iterator[PostgresqlServer]:
    server = OwnServer(programs, folder)
    server.start()
    try:
        yield PostgresqlServer(server.url, server.port)
    finally:
        server.stop()


@contextmanager
def mortal_server() -> Iterator["OwnServer"]:
    """A server that a test may kill and start again; without PostgreSQL the test skips."""
    programs = find_programs()
    with tempfile.TemporaryDirectory(prefix="tokenmill-mortal-") as folder:
        server = OwnServer(programs, Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


class OwnServer:
    """A server of ours in a folder. `url` names its database; it is not started yet."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.port = fresh_port()
        self.url = f"postgresql://postgres@:{self.port}/postgres?host={folder}"
        self._programs = programs
        self._folder = folder
        self._user = _other_user()
        self._process: subprocess.Popen[bytes] | None = None
        _give(folder, self._user)
        options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            [programs / "initdb", "-D", folder / "data", *options],
            user=self._user,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr

    def start(self) -> None:
        """Returns when it answers."""
        settings = [
            f"unix_socket_directories={self._folder}",
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            "fsync=off",
            *_access(self._folder, self._user),
        ]
        command = [self._programs / "postgres", "-D", self._folder / "data"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *(part for each in settings for part in ("-c", each))],
                user=self._user,
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        _wait(self.url, self._process, self._folder / "log")

    def kill(self) -> None:
        """All its processes at once, with SIGKILL: what was committed is on the disk."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)  # it starts no other one now
        os.waitpid(self._process.pid, os.WUNTRACED)
        family = (self._process.pid, *child_pids(self._process.pid))
        for process_id in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
        self._process.wait(START_S)
        # One that still dies holds the memory which the next server asks for.
        eventually(lambda: not any(map(is_running, family)), "they are gone", within_s=START_S)

    def stop(self) -> None:
        """Ends it, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_S)


def _access(folder: Path, user: str | None) -> list[str]:
    """Settings that let people in, with the files they name."""
    (folder / "access").write_text(ACCESS)
    for name in ("engine.pem", "engine.key"):
        shutil.copyfile(CERTIFICATES / name, folder / name)
        (folder / name).chmod(0o600)
        _give(folder / name, user)
    return [
        f"hba_file={folder / 'access'}",
        "ssl=on",
        f"ssl_cert_file={folder / 'engine.pem'}",
        f"ssl_key_file={folder / 'engine.key'}",
    ]


def _give(path: Path, user: str | None) -> None:
    if user is not None:
        os.chown(path, pwd.getpwnam(user).pw_uid, -1)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            run(url, "SELECT 1")
        except (OSError, pg8000.Error):
            alive = server.poll() is None and time.monotonic() < deadline
            assert alive, f"PostgreSQL did not start: {log.read_text()}"
            time.sleep(0.02)
        else:
            return


def _other_user() -> str | None:
    return "postgres" if os.geteuid() == 0 else None
