"""The thread that a keeper has to itself: begun, told to end, and waited for, but not for ever."""

import threading
from collections.abc import Callable


class OwnThread:
    """A daemon thread. Its work looks at `ending`, or waits for it, between two turns."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self.ending = threading.Event()
        self._thread = threading.Thread(target=work, name=name, daemon=True)

    def start(self) -> None:
        """Works from now on, until it is stopped. Once."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Returns when the work has ended, or after that time; at once, where it never began."""
        self.ending.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
