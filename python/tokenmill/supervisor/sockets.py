"""The sockets of a house: bound once by the supervisor, inherited by the children that serve them.

They outlive the children: what waits on one when its child dies is served by the next.
"""

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path

from tokenmill.listening import BACKLOG, listen_tcp
from tokenmill.state_folder import control_socket
from tokenmill.supervisor.port_holder import find_port_holder
from tokenmill.supervisor.predecessors import Predecessors
from tokenmill.supervisor.refusal import Refused


def listen_public(host: str, port: int, predecessors: Predecessors) -> socket.socket:
    """The socket that clients connect to: the one that is served already, or a new one. Raises:
    Refused."""
    try:
        return predecessors.public(host, port) or listen_tcp(host, port)
    except OSError as error:
        raise Refused(_cannot_listen(host, port, error)) from error


def listen_control(state: Path, predecessors: Predecessors) -> tuple[socket.socket, Path]:
    """Control's Unix socket and its path, for this user alone; one that a dead house left is
    replaced, for the state folder's lock is held. Raises: Refused."""
    path = control_socket(state)
    shared = predecessors.shared("control")
    if shared is not None and path.is_socket():
        return shared, path
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        if path.parent != state:
            _make_private(path.parent)
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Refused(f"cannot make the control socket {path}: {error.strerror}") from error
    finally:
        os.umask(before)
    return listener, path


def base_url(listener: socket.socket) -> str:
    """How a client on this machine reaches a listening socket."""
    host, port = listener.getsockname()[:2]
    if host == "0.0.0.0":
        host = "127.0.0.1"
    elif host == "::":
        host = "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _make_private(folder: Path) -> None:
    """A folder in a place that all users share: ours alone, or not used."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, f"{folder} belongs to somebody else")
    folder.chmod(0o700)


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        holder = find_port_holder(port)
        who = f" by {holder}" if holder else ""
        return (
            f"port {port} of {host} is taken{who}.\n"
            "Give another one with --port (0 takes any that is free), or end that program."
        )
    if error.errno == errno.EACCES:
        return f"this user may not listen on port {port}; ports below 1024 need rights: use --port"
    return f"cannot listen on {host} port {port}: {error.strerror}. Look at --host and --port."
