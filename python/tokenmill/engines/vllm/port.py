"""A loopback port kept for a vLLM to come: bound, and not listening.

vLLM binds its port itself (with SO_REUSEADDR, which lets it share one that nobody listens on), so
it cannot inherit a socket. The supervisor holds the port for the life of the house: the engine's
address stays the same over restarts, and a connection is refused until vLLM listens.
"""

import os
import socket

from tokenmill.engines.address import LOOPBACK


def hold_port() -> socket.socket:
    """A free port, held until the socket is closed. Raises: OSError."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, 0))
    except OSError:
        holder.close()
        raise
    return holder


def held_port(descriptor: int) -> int:
    """The port that an inherited descriptor of such a socket holds."""
    with socket.socket(fileno=os.dup(descriptor)) as holder:
        return int(holder.getsockname()[1])
