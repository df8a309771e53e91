"""PostgreSQL by way of pg8000, for SQLAlchemy: `postgresql+tokenmill://`.

Opens connections that never wait for ever, and sees that a failure comes out as what it is: pg8000
tells broken constraints from other errors only where a name is taken twice, and lets some failures
of its socket through as they are. Loaded only for a PostgreSQL, as its driver is an extra.
"""

import getpass
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000

from tokenmill.database.errors import DatabaseAddressInvalid
from tokenmill.database.server_address import ServerAddress

URL = "postgresql+tokenmill://"

ANSWER_S = 30
"""How long a statement may be silent. Longer than any of ours takes, or waits for another's."""

_CONSTRAINT_VIOLATED = "23"  # the class of SQLSTATE that means "integrity constraint violation"

registry.register("postgresql.tokenmill", __name__, "Dialect")


def open_connection(server: ServerAddress) -> Any:
    """A new connection of pg8000's. Raises: OSError, pg8000.Error, DatabaseAddressInvalid."""
    import pg8000  # type: ignore[import-untyped]
    import scramp  # type: ignore[import-untyped]

    ssl_context = _ssl_context(server)
    opened = _open_socket(server)
    connection = None
    try:
        connection = pg8000.Connection(
            server.user or getpass.getuser(),
            # Never None: the driver would break over it when the server asks.
            password=server.password,
            database=server.name or None,
            host=server.host,
            application_name=server.application_name,
            sock=opened,
            ssl_context=ssl_context,
        )
    except (scramp.ScramException, KeyError, UnicodeDecodeError, struct.error) as error:
        raise pg8000.InterfaceError("what answers there is no PostgreSQL server") from error
    finally:
        if connection is None:
            opened.close()
    return connection


def _open_socket(server: ServerAddress) -> socket.socket:
    if server.socket is None:
        opened = socket.create_connection((server.host, server.port), server.connect_timeout_s)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    else:
        opened = socket.socket(socket.AF_UNIX)
        try:
            opened.settimeout(server.connect_timeout_s)
            opened.connect(server.socket)
        except OSError:
            opened.close()
            raise
    opened.settimeout(ANSWER_S)
    return opened


def _ssl_context(server: ServerAddress) -> ssl.SSLContext | bool | None:
    """As the driver takes it: None encrypts if the server can, True insists, False does not."""
    if server.socket is not None:
        return False  # as with libpq: it leaves this machine for nobody to read
    match server.sslmode:
        case "disable":
            return False
        case "prefer":
            return None
        case "require":
            return True
        case "verify-full":
            try:
                return ssl.create_default_context(cafile=server.sslrootcert or None)
            except OSError as error:
                raise DatabaseAddressInvalid(
                    f"sslrootcert of database_url is no file of certificates: {server.sslrootcert}"
                ) from error


class Dialect(PGDialect_pg8000):
    """SQLAlchemy's dialect of pg8000, which connects and fails as described above."""

    driver = "tokenmill"
    supports_statement_cache = True

    def connect(self, *_: Any, server: ServerAddress) -> Any:
        """A connection; `server` comes from `connect_args`."""
        return open_connection(server)

    def do_execute(
        self, cursor: Any, statement: str, parameters: Any, _context: Any = None
    ) -> None:
        """Runs a statement."""
        with self._named():
            cursor.execute(statement, parameters)

    def do_executemany(
        self, cursor: Any, statement: str, parameters: Any, _context: Any = None
    ) -> None:
        """Runs a statement once for each of the parameters."""
        with self._named():
            cursor.executemany(statement, parameters)

    def do_commit(self, dbapi_connection: Any) -> None:
        """Commits; a deferred constraint may be violated only now."""
        with self._named():
            dbapi_connection.commit()

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Rolls back."""
        with self._named():
            dbapi_connection.rollback()

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Whether the connection works."""
        with self._named():
            return super().do_ping(dbapi_connection)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Failures by the names that SQLAlchemy knows them by."""
        driver: Any = self.loaded_dbapi
        try:
            yield
        except OSError as error:
            # In pg8000's own words for it, by which the pool knows a connection that is lost.
            raise driver.InterfaceError("network error") from error
        except driver.Error as error:
            fields = error.args[0] if error.args else None
            if isinstance(fields, dict) and fields["C"].startswith(_CONSTRAINT_VIOLATED):
                raise driver.IntegrityError(fields) from error
            raise
