"""A connection to the database, and its failures in words.

Knows both dialects' ways of beginning, waiting and failing, and nothing of what is stored. Queries
stand in each feature's `store.py` as SQLAlchemy Core expressions, not in .sql files: one text has
to run on SQLite and PostgreSQL, and the tables they are checked against are Python already.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError

from tokenmill.database.address import DatabaseAddress
from tokenmill.database.errors import DatabaseAddressInvalid, DatabaseUnavailable

BUSY_MS = 5_000
"""How long a writer waits for another one before it says that the database is locked."""

_IS_READ = "tokenmill_read"

_PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit that was told of survives a power cut
    "PRAGMA foreign_keys = ON",
)


class Database:
    """Transactions on one database, from any thread. Nothing is opened before the first one."""

    def __init__(self, address: DatabaseAddress) -> None:
        """Raises: DatabaseAddressInvalid, if the driver is not installed."""
        self.address = address
        self._engine = _make_engine(address)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, or rolled back by an exception.

        Raises: DatabaseUnavailable.
        """
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot to read from; it waits for no writer. Raises: DatabaseUnavailable."""
        with self._translated(), self._engine.connect() as plain:
            connection = plain.execution_options(**{_IS_READ: True})
            with connection.begin():
                yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """As `read`, where all statements see the same moment. Raises: DatabaseUnavailable."""
        with self._translated(), self._engine.connect() as plain:
            options: dict[str, Any] = {_IS_READ: True}
            if self.address.kind == "postgresql":
                options["isolation_level"] = "REPEATABLE READ"  # SQLite has no other way
            connection = plain.execution_options(**options)
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Closes the connections that nobody uses at the moment."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise  # a fact about the data: the store that asked knows what it means
        except DBAPIError as error:
            raise DatabaseUnavailable(explain(error.orig, self.address)) from error
        except OSError as error:
            raise DatabaseUnavailable(explain(error, self.address)) from error


def explain(error: BaseException | None, address: DatabaseAddress) -> str:
    """What happened, in the driver's words, and what to do about it."""
    reason = " ".join(_reason(error).split())
    advice = next((advice for word, advice in _ADVICE if word in reason.lower()), "")
    return f"The database cannot be used ({address.shown}): {reason}.{advice}"


def _reason(error: BaseException | None) -> str:
    """What the server said; else what the system said; else what the driver said.

    pg8000 gives the server's words as a dict of the protocol's one-letter fields. Where the server
    hung up after them, or a socket failed, it says "network error" and keeps the cause behind it.
    """
    chain: list[BaseException] = []
    link = error
    while link is not None:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for link in chain:
        fields = link.args[0] if link.args else None
        if isinstance(fields, dict) and "M" in fields:
            return f"{fields['M']} ({fields.get('C', 'no code')})"
    return str(next((link for link in chain if isinstance(link, OSError)), error))


_ADVICE = (
    ("database is locked", " Another program holds it: close that, then try again."),
    ("unable to open", " Is the folder there, and may this user write to it?"),
    ("readonly", " May this user write to the file and its folder?"),
    ("disk is full", " Make room on that disk; nothing that was acknowledged is lost."),
    ("not a database", " The file is something else: name another one, or restore a backup."),
    ("malformed", " The file is damaged: restore a backup."),
    ("connection refused", " Is the server running, and is the port right?"),
    ("no such file", " Is the server running, and does its socket have this folder and port?"),
    ("name or service not known", " Is the host right?"),
    ("authentication failed", " Are user and password right?"),
    ("(28", " Are user and password right, and may this user come from here?"),
    ("does not exist", " Create it, or name another one."),
    ("(3d000)", " Create it, or name another one."),
    ("refuses ssl", " Turn TLS on at the server (ssl = on), or give sslmode=prefer."),
    ("certificate verify failed", " Give sslrootcert=/path/of/the/authority.pem."),
    ("timed out", " Is the host right, and may this machine reach it?"),
)


def _make_engine(address: DatabaseAddress) -> Engine:
    if address.path is not None:
        return _sqlite_engine(address.path)
    from tokenmill.database.postgresql import URL

    try:
        return create_engine(URL, pool_pre_ping=True, connect_args={"server": address.server})
    except ModuleNotFoundError as error:
        raise DatabaseAddressInvalid(
            "PostgreSQL needs its driver: pip install 'tokenmill[postgresql]'."
        ) from error


def _sqlite_engine(path: Path) -> Engine:
    # A URI, so that no character of a path means anything to SQLAlchemy or SQLite.
    engine = create_engine(f"sqlite:///{path.as_uri()}?uri=true")

    @event.listens_for(engine, "do_connect")
    def make_private(*_: Any) -> None:
        # The journal files take the mode of the database: born private, they stay it. A file that
        # is there is not opened: closing it would drop this process's locks on it, and the next
        # visitor, finding none, would delete the journal under our feet.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself, as below
        for pragma in _PRAGMAS:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer takes its lock at once: one that began by reading could not wait for it later.
        is_read = connection.get_execution_options().get(_IS_READ, False)
        connection.exec_driver_sql("BEGIN" if is_read else "BEGIN IMMEDIATE")

    return engine
