"""Ports for servers of tests, each given once: where one was, some house of another test may still
look, and what it asks for would be taken for a request of the next test."""

import itertools
import os
import socket

FIRST = 20_000
COUNT = 12_000
"""All below 32,768, from where Linux gives ports to whoever asks for any."""
SHARES = 8


def _own_ports() -> "itertools.cycle[int]":
    """This process's share, from a place of its own on."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = COUNT // SHARES
    begin, number = FIRST + process % SHARES * size, os.getpid()
    return itertools.cycle(begin + (number + step) % size for step in range(size))


_ports = _own_ports()


def fresh_listener() -> socket.socket:
    """A loopback listener on a port that no server of a test had for a long time."""
    for port in itertools.islice(_ports, COUNT // SHARES):
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:  # somebody else's
            continue
    raise AssertionError(f"all ports from {FIRST} on are taken")


def fresh_port() -> int:
    """A loopback port that nobody listens at. The system gives it to no connection meanwhile, as it
    would one of those that it gives to whoever asks for any."""
    with fresh_listener() as listener:
        port: int = listener.getsockname()[1]
        return port
