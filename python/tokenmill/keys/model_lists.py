"""Which models a key may use, where it has a list: a file in the state folder that workers read.

A key's list never changes, so what a worker has read stays true; it reads again when it meets a key
it does not know. Control writes the file before it gives the key to the hot segment.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

FILE_NAME = "key_models.json"

Lists = dict[int, tuple[str, ...]]


class ModelLists:
    """The file, from either side. Used by one thread at a time."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE_NAME
        self._known: dict[int, frozenset[str]] = {}
        self._seen: tuple[int, int] | None = None

    def models_of(self, key_id: int) -> frozenset[str]:
        """The models of a key that has a list; none where the list cannot be found. Cost: a look
        at the file's times for a key that is not known, else none."""
        found = self._known.get(key_id)
        if found is None and self._is_news():
            lists = self._read().items()
            self._known = {number: frozenset(models) for number, models in lists}
            found = self._known.get(key_id)
        return found or frozenset()

    def put(self, key_id: int, models: Iterable[str]) -> None:
        """Adds a key's list. Raises: OSError."""
        lists = self._read()
        lists[key_id] = tuple(models)
        self.replace(lists)

    def replace(self, lists: Mapping[int, tuple[str, ...]]) -> None:
        """These lists and no others; the file is whole at any time. Raises: OSError."""
        if not lists and not self._path.exists():
            return
        beside = self._path.with_name(f".{FILE_NAME}.new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(lists))
        beside.replace(self._path)

    def _is_news(self) -> bool:
        try:
            status = self._path.stat()
        except OSError:
            return False
        seen, self._seen = self._seen, (status.st_ino, status.st_mtime_ns)
        return seen != self._seen

    def _read(self) -> Lists:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Lists)
        except (OSError, msgspec.MsgspecError):
            return {}
