"""Signals as something to wait for: each is a byte in a pipe, read in the supervisor's own loop."""

import os
import select
import signal
from collections.abc import Iterable


class SignalInbox:
    """The signals that arrived since the last look. Only for the main thread."""

    def __init__(self, watched: Iterable[signal.Signals]) -> None:
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in watched:
            signal.signal(number, _note)

    def wait(self, timeout_ms: int) -> list[signal.Signals]:
        """What arrived, waiting at most so long for the first."""
        ready, _, _ = select.select([self._reading], [], [], timeout_ms / 1000)
        if not ready:
            return []
        return [signal.Signals(number) for number in os.read(self._reading, 4096)]


def _note(number: int, frame: object) -> None:
    """The wake-up descriptor has told already; a handler must be there for it to be used."""
