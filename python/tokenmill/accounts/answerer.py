"""Who answers a command: control while the house is up, else the database itself.

Knows nothing of terminals. The database is opened only under the state folder's lock, so that it
never has two writers on this machine.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tokenmill import clock
from tokenmill.control_client import ControlClient
from tokenmill.settings import Settings
from tokenmill.state_folder import control_socket, lock_path

if TYPE_CHECKING:
    from tokenmill.database.connection import Database

PATIENCE_MS = 5_000
"""A house on its way up or down has the lock and no control: it is waited for this long."""

RETRY_S = 0.05


class StateBusy(Exception):
    """Another tokenmill holds the state folder and does not answer."""


@contextmanager
def find_answerer(settings: Settings) -> Iterator["ControlClient | Database"]:
    """Control, or the open database of a house that is down.

    Raises: StateBusy; ApiError, if the database can't be used; OSError, for the state folder.
    """
    deadline_ms = clock.monotonic_ms() + PATIENCE_MS
    client = ControlClient(control_socket(settings.state))
    while not client.is_there():
        descriptor = _take_lock(settings.state)
        if descriptor is not None:
            break
        if clock.monotonic_ms() >= deadline_ms:
            raise StateBusy(
                f"a tokenmill holds {settings.state} and its control process does not answer."
                " Is it starting or stopping? Try again, or see `tokenmill doctor`."
            )
        time.sleep(RETRY_S)
    else:
        yield client
        return
    # The database's libraries take longer to load than control takes to answer.
    from tokenmill.database.upgrade import open_database

    try:
        database = open_database(settings.database_url, settings.state)
        try:
            yield database
        finally:
            database.close()
    finally:
        os.close(descriptor)


def _take_lock(state: Path) -> int | None:
    """A descriptor that holds the state folder's lock until closed; None if another has it."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(lock_path(state), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)  # who held it before is not who holds it now
    return descriptor
