"""The names of what lies in a state folder. One house owns it at a time, by a lock on one file.

Used by every process.
"""

import fcntl
import os
from pathlib import Path

SOCKET_PATH_BYTES_MAX = 103
"""A Unix socket's address holds 108 bytes on Linux and 104 elsewhere, with the zero at its end."""
_SOCKET_NAME_BYTES_MAX = 24


def lock_path(state: Path) -> Path:
    """Held with `flock` by the supervisor, or by a command that works while no house is up."""
    return state / "lock"


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the file's `flock` until it is closed or its last process is gone;
    None while another one does. The file is made if it is not there. Raises: OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def segment_path(state: Path) -> Path:
    """The hot segment."""
    return state / "hot.segment"


def previous_segments(state: Path) -> list[Path]:
    """Hot segments of other sizes that were set aside, oldest first: their cells may not be in the
    ledger yet."""
    return sorted(state.glob(f"{segment_path(state).name}.previous*"))


def worker_lock_path(state: Path, slot: int) -> Path:
    """Held with `flock` as long as the worker in this place lives."""
    return state / "workers" / f"{slot}.lock"


def control_socket(state: Path) -> Path:
    """Where control listens."""
    return _socket_path(state, "control.sock")


def handover_socket(state: Path, process: str) -> Path:
    """Where a process that serves is found by the next house: see handover.py."""
    return _socket_path(state, f"{process}.handover")


def handover_sockets(state: Path) -> list[Path]:
    """Those of all processes of this house and of earlier ones."""
    pattern = handover_socket(state, "*")
    return sorted(pattern.parent.glob(pattern.name))


def _socket_path(state: Path, name: str) -> Path:
    """In the state folder, or in a private folder beside other temporary files if the state
    folder's name is too long for a socket's address: in /tmp whatever TMPDIR says, for a house and
    a command that looks for it may differ in that."""
    if len(os.fsencode(state)) <= SOCKET_PATH_BYTES_MAX - _SOCKET_NAME_BYTES_MAX:
        return state / name
    import hashlib  # a few milliseconds, which the usual start does not need

    prefix = hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    return Path(f"/tmp/tokenmill-{os.getuid()}") / f"{prefix}-{name}"
