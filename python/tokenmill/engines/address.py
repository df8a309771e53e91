"""Where an engine is: the URL forms that the forwarder can reach, brought into one spelling.

Knows no sockets and asks no resolver. Called by the command line, the probe and control.
"""

from urllib.parse import urlsplit

from msgspec import Struct

LOOPBACK = "127.0.0.1"
_UNIX = "unix:"
_PORTS = {"http": 80, "https": 443}


class Address(Struct, frozen=True):
    """A place to connect to: a Unix socket's `path`, or `host` and `port`."""

    url: str  # the one spelling: http://host:port, https://host:port or unix:/path
    host: str = ""
    port: int = 0
    path: str = ""
    is_encrypted: bool = False

    @property
    def authority(self) -> str:
        """What stands in a request's Host header."""
        return "localhost" if self.path else self.url.partition("://")[2]

    @property
    def is_local(self) -> bool:
        """Whether the name says that it is this machine."""
        return bool(self.path) or self.host in ("127.0.0.1", "localhost", "::1")


def parse_address(url: str) -> Address:
    """The address in `url`; a trailing `/v1` is forgiven, for clients' base URLs end in it.

    Raises: ValueError saying which forms are allowed.
    """
    if url.startswith(_UNIX):
        return _unix_address(url.removeprefix(_UNIX))
    text = url if "://" in url else f"http://{url}"
    parts = urlsplit(text)
    if parts.scheme not in _PORTS:
        raise ValueError(
            f"engine URL {url!r}: {parts.scheme}:// is not supported; use http://host:port,"
            " https://host:port or unix:/path"
        )
    if parts.path.rstrip("/") not in ("", "/v1") or parts.query or parts.fragment:
        raise ValueError(f"engine URL {url!r}: only scheme, host and port, without a path")
    if parts.username is not None:
        raise ValueError(f"engine URL without credentials: use api_key ({parts.hostname})")
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise ValueError(f"engine URL {url!r}: the port must be from 1 to 65535") from None
    return _tcp_address(parts.scheme, parts.hostname or "", port, url)


def local_address(port: int) -> Address:
    """A port of this machine's loopback interface."""
    return Address(f"http://{LOOPBACK}:{port}", LOOPBACK, port)


def _tcp_address(scheme: str, host: str, port: int, url: str) -> Address:
    if not host or any(character.isspace() for character in host):
        raise ValueError(f"engine URL {url!r}: no host in it; use {scheme}://host:port")
    shown = f"[{host}]" if ":" in host else host
    return Address(f"{scheme}://{shown}:{port}", host, port, is_encrypted=scheme == "https")


def _unix_address(path: str) -> Address:
    if not path.startswith("/"):
        raise ValueError(f"engine URL 'unix:{path}': the path must start with /")
    return Address(f"{_UNIX}{path}", path=path)
