"""Who answers a command about keys: control while the house is up, else the database itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from tokenmill import clock
from tokenmill.accounts.answerer import find_answerer
from tokenmill.control_client import ControlClient
from tokenmill.keys.views import CreateKey, KeyView, MadeKey, RotateKey
from tokenmill.settings import Settings


class KeyDesk(Protocol):
    """What a command may ask for. Raises: ApiError, ControlRefused or ControlAway."""

    def create(self, wish: CreateKey) -> MadeKey: ...
    def list(self, *, is_live_only: bool = False) -> list[KeyView]: ...
    def rotate(self, key_id: int, wish: RotateKey) -> MadeKey: ...
    def revoke(self, key_id: int) -> KeyView: ...


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
    """The one who answers now. Raises: as `find_answerer`."""
    with find_answerer(settings) as answerer:
        if isinstance(answerer, ControlClient):
            yield ControlDesk(answerer)
            return
        from tokenmill.keys.loading import ensure_local_key
        from tokenmill.keys.registry import KeyRegistry

        ensure_local_key(answerer, settings.state, clock.wall_s())
        yield KeyRegistry(answerer, None, settings.state)
