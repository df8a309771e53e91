"""The fleet snapshot on disk: written whole by control, read by the workers.

A reader sees the old file or the new one, never a part. It holds engines' API keys: mode 0600.
"""

import os
from pathlib import Path

import msgspec

from tokenmill.models.fleet import Fleet, decode_fleet, fleet_path


def write_fleet(state: Path, fleet: Fleet) -> None:
    """Replaces the snapshot in the state folder. Raises: OSError, and the old one stays."""
    path = fleet_path(state)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(fleet))
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def read_fleet(state: Path) -> Fleet:
    """The snapshot in the state folder; an empty fleet if there is none that can be read."""
    try:
        return decode_fleet(fleet_path(state).read_bytes())
    except (OSError, msgspec.DecodeError):
        return Fleet()
