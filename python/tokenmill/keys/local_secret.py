"""The secret of the local key: a file in the state folder that only its owner may read.

The supervisor prints it before a database is open; control registers its digest. Whoever comes
first makes it.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from tokenmill import ids
from tokenmill.keys.rules import RANDOM_CHARACTERS, is_well_formed, make_secret

FILE_NAME = "local_key"


def local_key_path(state: Path) -> Path:
    """Where the secret lies."""
    return state / FILE_NAME


def ensure_local_secret(state: Path) -> str:
    """The secret in `state`, made now if there is none or none that is one.

    Several processes may call this at once: all get the same secret. Raises: OSError.
    """
    path = local_key_path(state)
    secret = _read(path)
    if secret is not None:
        return secret
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = _write_beside(path, make_secret(ids.base62(RANDOM_CHARACTERS)))
    try:
        if path.exists():  # it is there, and no secret
            made.replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(made, path)
    finally:
        made.unlink(missing_ok=True)
    return path.read_text().strip()


def replace_local_secret(state: Path, secret: str) -> None:
    """Puts `secret` in place of the one that is there."""
    path = local_key_path(state)
    _write_beside(path, secret).replace(path)


def remove_local_secret(state: Path) -> None:
    """The next start makes another one."""
    local_key_path(state).unlink(missing_ok=True)


def _read(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)
    except FileNotFoundError:
        return None
    return text if is_well_formed(text.encode()) else None


def _write_beside(path: Path, secret: str) -> Path:
    """A file with the secret, private from birth, that waits for its name."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    return beside
