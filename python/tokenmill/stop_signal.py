"""How a child process learns that it is to leave, from the first turn of its event loop on."""

import asyncio
import signal


class StopSignal:
    """Why and when to leave: SIGTERM, SIGINT or the end of the life pipe; twice means at once.

    Made before anything else in the loop. A handler that raises instead is lost where Python
    swallows what is raised, as in the callback of a weak reference.
    """

    def __init__(self, life_fd: int | None = None) -> None:
        self.wanted = asyncio.Event()
        self.urgent = asyncio.Event()
        self.is_orphaned = False
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._note)
        if life_fd is not None:
            loop.add_reader(life_fd, self._note_orphaned, life_fd)

    def _note(self) -> None:
        if self.wanted.is_set():
            self.urgent.set()
        self.wanted.set()

    def _note_orphaned(self, life_fd: int) -> None:
        asyncio.get_running_loop().remove_reader(life_fd)
        self.is_orphaned = True
        self.wanted.set()
