"""The names of what lies in a state folder. One house owns it at a time, by a lock on one file.

Pure but for `control_socket`, which looks at nothing but lengths. Used by every process.
"""

import os
from pathlib import Path

SOCKET_PATH_BYTES_MAX = 103
"""A Unix socket's address holds 108 bytes on Linux and 104 elsewhere, with the zero at its end."""


def lock_path(state: Path) -> Path:
    """Held with `flock` by the supervisor, or by a command that works while no house is up."""
    return state / "lock"


def segment_path(state: Path) -> Path:
    """The hot segment."""
    return state / "hot.segment"


def control_socket(state: Path) -> Path:
    """Where control listens: in the state folder, or in a private folder beside other temporary
    files if the state folder's name is too long for a socket's address."""
    usual = state / "control.sock"
    if len(os.fsencode(usual)) <= SOCKET_PATH_BYTES_MAX:
        return usual
    import hashlib  # a few milliseconds, which the usual start does not need

    name = hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    return Path(f"/tmp/tokenmill-{os.getuid()}") / f"{name}.sock"
