"""Who answers a command about keys: control while the house is up, else the database itself.

Knows nothing of terminals. The database is opened only under the state folder's lock, so that it
never has two writers on this machine.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tokenmill import clock
from tokenmill.control_client import ControlClient
from tokenmill.keys.views import CreateKey, KeyView, MadeKey, RotateKey
from tokenmill.settings import Settings
from tokenmill.state_folder import control_socket, lock_path

PATIENCE_MS = 5_000
"""A house on its way up or down has the lock and no control: it is waited for this long."""

RETRY_S = 0.05


class KeyDesk(Protocol):
    """What a command may ask for. Raises: ApiError, ControlRefused or ControlAway."""

    def create(self, wish: CreateKey) -> MadeKey: ...
    def list(self, *, is_live_only: bool = False) -> list[KeyView]: ...
    def rotate(self, key_id: int, wish: RotateKey) -> MadeKey: ...
    def revoke(self, key_id: int) -> KeyView: ...


class StateBusy(Exception):
    """Another tokenmill holds the state folder and does not answer."""


class ControlDesk:
    """Control answers."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def create(self, wish: CreateKey) -> MadeKey:
        return self._client.post("/control/keys", wish, MadeKey)

    def list(self, *, is_live_only: bool = False) -> list[KeyView]:
        query = "?live=true" if is_live_only else ""
        return self._client.get(f"/control/keys{query}", list[KeyView])

    def rotate(self, key_id: int, wish: RotateKey) -> MadeKey:
        return self._client.post(f"/control/keys/{key_id}/rotate", wish, MadeKey)

    def revoke(self, key_id: int) -> KeyView:
        return self._client.post(f"/control/keys/{key_id}/revoke", None, KeyView)


@contextmanager
def open_desk(settings: Settings) -> Iterator[KeyDesk]:
    """The one who answers now.

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
        yield ControlDesk(client)
        return
    try:
        with _open_registry(settings) as desk:
            yield desk
    finally:
        os.close(descriptor)


@contextmanager
def _open_registry(settings: Settings) -> Iterator[KeyDesk]:
    # The database's libraries take longer to load than control takes to answer.
    from tokenmill.database.upgrade import open_database
    from tokenmill.keys.loading import ensure_local_key
    from tokenmill.keys.registry import KeyRegistry

    database = open_database(settings.database_url, settings.state)
    try:
        ensure_local_key(database, settings.state, clock.wall_s())
        yield KeyRegistry(database, None, settings.state)
    finally:
        database.close()


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
