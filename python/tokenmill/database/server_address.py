"""A PostgreSQL server's address, as libpq's URLs have it. Pure: nothing is looked up or opened.

What is not known is refused by name, so that a misspelt `sslmode` never means an open connection.
A password is taken from before the host only: what stands there is hidden wherever it is shown.
"""

from typing import Literal, get_args
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from msgspec import Struct

SOCKET_FOLDER = "/var/run/postgresql"
"""Where a server listens that has no host in its URL, as Debian's and Red Hat's do."""

PORT = 5432
CONNECT_S_MAX = 300

SslMode = Literal["disable", "prefer", "require", "verify-full"]

OPTIONS = ("host", "port", "sslmode", "sslrootcert", "application_name", "connect_timeout")


class ServerAddress(Struct, frozen=True, kw_only=True):
    """A server and a database in it. Its representation may hold a password."""

    host: str  # a folder, if it begins with a slash
    port: int = PORT
    user: str = ""  # empty: the one that this process runs as
    password: str = ""
    name: str = ""  # of the database; empty: the user's
    sslmode: SslMode = "prefer"
    sslrootcert: str = ""  # a file; empty: the certificates that this machine trusts
    application_name: str = "tokenmill"
    connect_timeout_s: int = 5

    @property
    def socket(self) -> str | None:
        """The path of the server's Unix socket; None if it is reached over the network."""
        return f"{self.host}/.s.PGSQL.{self.port}" if self.host.startswith("/") else None


class ServerAddressInvalid(Exception):
    """The reason; it holds nothing of a password."""


def parse_server(rest: str) -> ServerAddress:
    """The server of a URL without its scheme. Raises: ServerAddressInvalid."""
    try:
        parts = urlsplit(f"postgresql://{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        # Not in Python's words: they quote a piece of the URL, which may be one of a password.
        raise ServerAddressInvalid("its host or port cannot be read") from None
    if parts.fragment:
        raise ServerAddressInvalid("a # in it has to be written %23")
    options = _options(parts)
    sslmode = _sslmode(options.get("sslmode", "prefer"))
    sslrootcert = options.get("sslrootcert", "")
    if sslrootcert and sslmode != "verify-full":
        raise ServerAddressInvalid("sslrootcert needs sslmode=verify-full")
    return ServerAddress(
        host=(options.get("host") or host or SOCKET_FOLDER).rstrip("/") or "/",
        port=_number("port", options.get("port") or str(port or PORT), 65_535),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        name=unquote(parts.path[1:]),
        sslmode=sslmode,
        sslrootcert=sslrootcert,
        application_name=options.get("application_name", "tokenmill"),
        connect_timeout_s=_number(
            "connect_timeout", options.get("connect_timeout", "5"), CONNECT_S_MAX
        ),
    )


def _options(parts: SplitResult) -> dict[str, str]:
    # A plus is a plus in these URLs, not a space.
    query = parts.query.replace("+", "%2B")
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(options.keys() - set(OPTIONS))
    if unknown:
        raise ServerAddressInvalid(
            f"its option {unknown[0]} is not known; there are {', '.join(OPTIONS)}"
        )
    return options


def _sslmode(text: str) -> SslMode:
    for mode in get_args(SslMode):
        if text == mode:
            return mode  # type: ignore[no-any-return]
    raise ServerAddressInvalid(f"sslmode is one of {', '.join(get_args(SslMode))}")


def _number(name: str, text: str, largest: int) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= largest):
        raise ServerAddressInvalid(f"{name} is a whole number from 1 to {largest}")
    return int(text)
