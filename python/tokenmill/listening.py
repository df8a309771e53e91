"""Listening TCP sockets as `asgi_server.serve` wants them. Light: the supervisor imports it too."""

import socket
from typing import Any

BACKLOG = 4096
"""Connections that may wait in the kernel; capped by net.core.somaxconn."""


def listen_tcp(host: str, port: int) -> socket.socket:
    """A listening TCP socket on the first address of `host`; port 0 takes a free one.

    TCP_NODELAY is inherited by the connections it accepts; without it streams stall on delayed
    acknowledgements. Raises: OSError.
    """
    family, kind, protocol, _, address = _addresses(host, port)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def is_listening_at(listener: socket.socket, host: str, port: int) -> bool:
    """Whether `listen_tcp` would make a socket of the same address. Raises: OSError."""
    family, _, _, _, address = _addresses(host, port)[0]
    return listener.family == family and bool(listener.getsockname()[:2] == address[:2])


def _addresses(host: str, port: int) -> list[Any]:
    """IPv4 before IPv6, so that `localhost` is what most clients take it for."""
    flags = socket.AI_PASSIVE
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
