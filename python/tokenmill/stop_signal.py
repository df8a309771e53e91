"""How a child process learns that it is to leave, from the first turn of its event loop on."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

GIVES_WAY = 15
"""The niceness of a process that only finishes what it has: a twenty-eighth of another's processor
time while a new house starts, which is a second."""


class StopSignal:
    """Why and when to leave: SIGTERM, SIGINT or the end of the life pipe; twice means at once.

    Made before anything else in the loop of a process that leads its session. A handler that raises
    instead is lost where Python swallows what is raised, as in the callback of a weak reference.
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
        give_way()


def give_way() -> None:
    """Lets every other process go first on a busy machine: all threads of this one, and where Linux
    shares processors by session (sched(7), "The autogroup feature"), its session too. Only of a
    session of its own: what else is in another one was not asked."""
    if os.getsid(0) != os.getpid():
        return
    os.setpriority(os.PRIO_PGRP, 0, GIVES_WAY)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(GIVES_WAY))
