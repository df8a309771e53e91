"""How the next house takes over from one whose supervisor was killed: no client is refused.

Workers, control and the embedded engine each listen on a Unix socket in the state folder. When
their supervisor is gone they go on serving for a moment. The supervisor of the next house connects
there, is handed the listening socket, and tells them to leave when its own processes serve. Control
is told by the control that follows, which begins when the one before is gone: there are never two.
"""

import contextlib
import logging
import os
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:  # the supervisor, which comes by here too, has no event loop
    import asyncio

Part = Literal["worker", "engine", "control"]

SUCCESSOR_S = 3.0
"""How long a process serves that has no supervisor: whoever keeps houses running starts the next
one within a second."""
ANSWER_S = 1.0
LEAVE_S = 1.0
"""How long a process may take to leave whose place is waited for. Then it is killed, which every
process of a house stands at any instruction."""
LEAVE = b"l"
_PARTS: dict[bytes, Part] = {b"worker": "worker", b"engine": "engine", b"control": "control"}
_PART_BYTES_MAX = 16

logger = logging.getLogger(__name__)


class Handover:
    """The socket of one process that serves `listen_fd`. `is_followed`: the next house serves."""

    def __init__(self, path: Path, part: Part, listen_fd: int) -> None:
        self.is_followed = False
        self._path = path
        self._part = part
        self._shared = socket.socket(fileno=os.dup(listen_fd))
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._inode = 0
        self._heir: socket.socket | None = None
        self._is_orphaned = False
        self._loop: asyncio.AbstractEventLoop
        self._leave: Callable[[], None]
        self._giving_up: asyncio.TimerHandle | None = None

    def open(self, loop: "asyncio.AbstractEventLoop", leave: Callable[[], None]) -> None:
        """From now on the next house may come. `leave` is called by it, or for want of it."""
        self._loop, self._leave = loop, leave
        try:
            self._path.unlink(missing_ok=True)
            self._door.bind(str(self._path))
            self._door.listen(1)
            self._inode = self._path.stat().st_ino
        except OSError as error:
            extra = {"path": str(self._path), "error": str(error)}
            logger.warning("no other house can take over from here", extra=extra)
            return
        self._door.setblocking(False)
        loop.add_reader(self._door, self._admit)

    def note_orphaned(self) -> None:
        """The supervisor is gone."""
        logger.warning("the supervisor is gone; serving on", extra={"seconds": SUCCESSOR_S})
        self._is_orphaned = True
        if self._heir is None:
            self._wait_for_heir()

    def close(self) -> None:
        """Lets go of the listening socket; nobody finds this process any more. An heir stays
        connected until this process is gone, and so learns of it."""
        self._be_patient()
        if self._door.fileno() >= 0:
            self._loop.remove_reader(self._door)
            self._door.close()
        if self._heir is not None:
            self._loop.remove_reader(self._heir)
            self._heir.detach()
            self._heir = None
        self._shared.close()
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:  # else it is another process's by now
                self._path.unlink()

    def _wait_for_heir(self) -> None:
        self._giving_up = self._loop.call_later(SUCCESSOR_S, self._leave)

    def _be_patient(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _admit(self) -> None:
        try:
            heir, _ = self._door.accept()
        except OSError:
            return
        heir.setblocking(False)
        try:
            socket.send_fds(heir, [self._part.encode()], [self._shared.fileno()])
        except OSError:  # it is gone already
            heir.close()
            return
        self._be_patient()
        if self._heir is not None:
            self._loop.remove_reader(self._heir)
            self._heir.close()
        self._heir = heir
        self._loop.add_reader(heir, self._hear, heir)

    def _hear(self, heir: socket.socket) -> None:
        try:
            word = heir.recv(1)
        except OSError:
            word = b""
        self._loop.remove_reader(heir)
        if word == LEAVE:
            self.is_followed = True
            self._leave()
            return
        heir.close()
        self._heir = None
        if self._is_orphaned:
            self._wait_for_heir()


class Predecessor(Struct, frozen=True):
    """A process of the house before that serves. It goes on until it is told to leave over
    `connection`, or that one ends and nobody else comes."""

    part: Part
    connection: socket.socket
    listener: socket.socket

    def dismiss(self) -> None:
        """Our own processes serve: this one may leave."""
        self.listener.close()
        dismiss(self.connection.detach())


def dismiss(descriptor: int) -> None:
    """The same for whoever has only the connection, which is closed."""
    with contextlib.suppress(OSError):  # it has left
        os.write(descriptor, LEAVE)
    os.close(descriptor)


def relieve(descriptor: int) -> None:
    """The same, for whoever begins when that process is gone, as it is when this returns."""
    with socket.socket(fileno=descriptor) as connection:
        connection.settimeout(LEAVE_S)
        try:
            connection.send(LEAVE)
            connection.recv(1)
        except TimeoutError:
            process_id, _, _ = struct.unpack(
                "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            )
            logger.warning("it does not leave; it is killed", extra={"process_id": process_id})
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
            with contextlib.suppress(OSError):
                connection.recv(1)
        except OSError as error:  # it has left
            logger.debug("gone already", extra={"error": str(error)})


def find_predecessor(path: Path) -> Predecessor | None:
    """Who listens at `path`; a file that nobody listens at is removed. Blocks a second at most."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_S)
    try:
        connection.connect(str(path))
        part, descriptors, _, _ = socket.recv_fds(connection, _PART_BYTES_MAX, 1)
    except OSError as error:
        connection.close()
        if isinstance(error, ConnectionRefusedError):
            path.unlink(missing_ok=True)
        return None
    if not descriptors:
        connection.close()
        return None
    listener = socket.socket(fileno=descriptors[0])
    if part not in _PARTS:
        listener.close()
        connection.close()
        return None
    connection.setblocking(True)
    return Predecessor(_PARTS[part], connection, listener)
