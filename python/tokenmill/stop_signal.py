"""How a child process learns that it is to leave, from the first turn of its event loop on."""

import asyncio
import signal

from tokenmill.handover import Handover


class StopSignal:
    """Why and when to leave: SIGTERM, SIGINT or the end of the life pipe; twice means at once.

    With a `handover` the end of the life pipe is no reason by itself: the next house says when, or
    does not come in time. `is_orphaned`: nobody has this process's place.

    Made before anything else in the loop of a process that leads its session. A handler that raises
    instead is lost where Python swallows what is raised, as in the callback of a weak reference.
    """

    def __init__(self, life_fd: int | None = None, handover: Handover | None = None) -> None:
        self.wanted = asyncio.Event()
        self.urgent = asyncio.Event()
        self.is_orphaned = False
        self._handover = handover
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._note)
        if handover is not None:
            handover.open(loop, self._leave_house)
        if life_fd is not None:
            loop.add_reader(life_fd, self._note_orphaned, life_fd)

    def _note(self) -> None:
        if self.wanted.is_set():
            self.urgent.set()
        self._want()

    def _note_orphaned(self, life_fd: int) -> None:
        asyncio.get_running_loop().remove_reader(life_fd)
        if self._handover is None:
            self._leave_house()
        elif not self.wanted.is_set():
            self._handover.note_orphaned()

    def _leave_house(self) -> None:
        self.is_orphaned = self._handover is None or not self._handover.is_followed
        self._want()

    def _want(self) -> None:
        if self._handover is not None and not self.wanted.is_set():
            self._handover.close()
        self.wanted.set()
