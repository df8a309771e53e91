"""Clients that go on asking in a thread of their own, while the test does something to a house."""

import asyncio
import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Self


class BackgroundLoad(ABC):
    """`run` asks, on an event loop of its own, until `is_over`; then what has begun comes to its
    end."""

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self.run()))

    @property
    def is_over(self) -> bool:
        """Whether nothing new is to be asked."""
        return self._is_over.is_set()

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        """It runs for the length of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._is_over.set()
            self._thread.join()

    @abstractmethod
    async def run(self) -> None:
        """Asks until it is over."""
