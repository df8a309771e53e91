"""The lock on a state folder: one house at a time, and whoever asks is told which.

An `flock` on one file, which also says who holds it. The lock goes with its process, whatever ends
it; the file stays, and a file that nobody has locked says nothing.
"""

import fcntl
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from tokenmill.state_folder import lock_path, try_lock
from tokenmill.supervisor.refusal import Refused


class Holder(Struct, frozen=True, kw_only=True):
    """Who holds a state folder. `reloads` counts what `tokenmill reload` waits for."""

    pid: int
    url: str = ""
    reloads: int = 0
    reload_error: str = ""


class StateLock:
    """A held lock; let go when this process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def describe(self, holder: Holder) -> None:
        """Tells others who this is."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, msgspec.json.encode(holder) + b"\n", 0)


def take_lock(state: Path) -> StateLock:
    """The lock on `state`, which is made if it is not there.

    Raises: Refused, if another process holds it or the folder cannot be written.
    """
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = try_lock(lock_path(state))
    except OSError as error:
        raise Refused(
            f"the state folder {state} cannot be used: {error.strerror}. Give a folder that"
            " this user can write with --state DIR (or TOKENMILL_STATE)."
        ) from error
    if descriptor is None:
        raise Refused(_held_by(state))
    return StateLock(descriptor)


def find_holder(state: Path) -> Holder | None:
    """Who holds the folder now, or None. Takes no lock that is not given back at once."""
    try:
        descriptor = os.open(lock_path(state), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read_holder(descriptor)
    finally:
        os.close(descriptor)
    return None


def _read_holder(descriptor: int) -> Holder:
    try:
        return msgspec.json.decode(os.pread(descriptor, 65_536, 0), type=Holder)
    except msgspec.DecodeError:
        return Holder(pid=0)


def _held_by(state: Path) -> str:
    holder = find_holder(state)
    who = f"process {holder.pid}" if holder and holder.pid else "another process"
    where = f", which serves {holder.url}" if holder and holder.url else ""
    stop = f"kill {holder.pid}" if holder and holder.pid else "kill PID"
    return (
        f"the state folder {state} belongs to a running tokenmill: {who}{where}.\n"
        f"Use that one, end it with `{stop}`, or start a second house in a folder of its own:"
        " tokenmill up --state DIR --port PORT"
    )
