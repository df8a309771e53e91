"""The secret of the local key: a file in the state folder that only its owner may read.

The supervisor prints it before a database is open; control registers its digest. Whoever comes
first makes it. The key's number lies beside it: should the secret be lost, that key is revoked.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenmill import ids
from tokenmill.keys.rules import RANDOM_CHARACTERS, is_well_formed, make_secret

FILE_NAME = "local_key"
NUMBER_FILE_NAME = "local_key_number"


def local_key_path(state: Path) -> Path:
    """Where the secret lies."""
    return state / FILE_NAME


def ensure_local_secret(state: Path) -> str:
    """The secret in `state`, made now if there is none or none that is one.

    Several processes may call this at once: all get the same secret. Raises: OSError.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _turn(state):
        secret = _read(local_key_path(state))
        if secret is None:
            secret = make_secret(ids.base62(RANDOM_CHARACTERS))
            _write(local_key_path(state), secret)
    return secret


def replace_local_secret(state: Path, secret: str) -> None:
    """Puts `secret` in place of the one that is there."""
    with _turn(state):
        _write(local_key_path(state), secret)


def remove_local_secret(state: Path) -> None:
    """The next start makes another one."""
    local_key_path(state).unlink(missing_ok=True)


def keep_local_number(state: Path, key_id: int) -> None:
    """Writes down which key the secret is of."""
    if local_number(state) != key_id:
        _write(state / NUMBER_FILE_NAME, str(key_id))


def local_number(state: Path) -> int | None:
    """The number of the local key of this state folder, as far as it is known."""
    try:
        text = (state / NUMBER_FILE_NAME).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
    return int(text) if text.isascii() and text.isdigit() else None


def _read(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)
    except FileNotFoundError:
        return None
    return text if is_well_formed(text.encode()) else None


def _write(path: Path, text: str) -> None:
    """The file is private from birth, and whole whenever it has its name."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)  # of one that was killed
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


@contextmanager
def _turn(state: Path) -> Iterator[None]:
    """One after the other: the folder itself is the lock."""
    descriptor = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
