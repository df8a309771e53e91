"""What was found last, up to so many bytes: the least recently used makes room. Knows no thread."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Values by key. `size` says how many bytes an entry takes."""

    def __init__(self, bytes_max: int, size: Callable[[Key, Value], int]) -> None:
        self._bytes_max = bytes_max
        self._size = size
        self._entries: OrderedDict[Key, Value] = OrderedDict()
        self.bytes = 0

    def find(self, key: Key) -> Value | None:
        """The value of a key, which is then the most recently used."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def keep(self, key: Key, value: Value) -> None:
        """Takes an entry in, and others out until all fit."""
        known = self._entries.pop(key, None)
        if known is not None:
            self.bytes -= self._size(key, known)
        self._entries[key] = value
        self.bytes += self._size(key, value)
        while self.bytes > self._bytes_max:
            oldest, gone = self._entries.popitem(last=False)
            self.bytes -= self._size(oldest, gone)
