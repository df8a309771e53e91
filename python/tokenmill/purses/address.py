"""The setting `redis_url`: what it may be, and what of it may be shown. Imports no driver."""

import importlib.util
import re
import ssl
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

from tokenmill.purses.errors import RedisUrlInvalid

_PASSWORD = re.compile(r"(://[^@/]*):[^@/]*@")
_OPTIONS = {"ssl_ca_certs", "db"}


class RedisServer(Struct, frozen=True, kw_only=True):
    """Where Redis is and who asks it. `path`: a Unix socket instead of host and port."""

    host: str = ""
    port: int = 6379
    path: str = ""
    user: str = ""
    password: str = ""
    database: int = 0
    is_encrypted: bool = False
    authority: str = ""  # a file of certificates instead of the system's

    def tls_context(self) -> ssl.SSLContext | None:
        """How the connection is encrypted; None: it is not. Raises: OSError, for the file."""
        if not self.is_encrypted:
            return None
        return ssl.create_default_context(cafile=self.authority or None)


def parse_url(url: str) -> RedisServer:
    """What `url` says. Raises: RedisUrlInvalid."""
    try:
        return _parse(url)
    except ValueError as error:
        raise RedisUrlInvalid(
            f"`redis_url` cannot be used: {error}. Give redis://HOST:PORT/0, rediss:// for TLS, or"
            " unix:///path/of/the.sock."
        ) from error


def _parse(url: str) -> RedisServer:
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix") or parts.fragment:
        raise ValueError("it is of another kind")
    options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    if not set(options) <= _OPTIONS:
        raise ValueError(f"it knows no options but {' and '.join(sorted(_OPTIONS))}")
    is_unix = parts.scheme == "unix"
    if not (parts.path if is_unix else parts.hostname):
        raise ValueError("it names no server")
    database = options.get("db", "0" if is_unix else parts.path.strip("/") or "0")
    return RedisServer(
        host=parts.hostname or "",
        port=parts.port or 6379,
        path=unquote(parts.path) if is_unix else "",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=int(database),
        is_encrypted=parts.scheme == "rediss",
        authority=options.get("ssl_ca_certs", ""),
    )


def check_url(url: str, database_kind: str) -> None:
    """Returns if houses can share purses there. Raises: RedisUrlInvalid."""
    parse_url(url)
    if database_kind != "postgresql":
        raise RedisUrlInvalid(
            "`redis_url` is for houses that share a database: set database_url to a PostgreSQL."
        )
    if importlib.util.find_spec("redis") is None:
        raise RedisUrlInvalid("Redis needs its driver: pip install 'tokenmill[redis]'.")


def shown_url(url: str) -> str:
    """The URL without its password."""
    return _PASSWORD.sub(r"\1:…@", url)
