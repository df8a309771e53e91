"""A program on a terminal of its own: what it writes there, and keys pressed."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A running program and its screen, as text without colours."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self._seen = b""

    def read_until(self, pattern: str, *, within_s: float = 30.0) -> re.Match[str]:
        """The first match of `pattern` in all that was written so far. Fails after the time."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = re.search(pattern, self.text(), re.MULTILINE | re.DOTALL)
            if found is not None:
                return found
            self._read()
        raise AssertionError(f"not within {within_s} s: {pattern}\n{self.text()}")

    def text(self) -> str:
        """All that was written so far."""
        return _CONTROL.sub("", self._seen.decode(errors="replace")).replace("\r\n", "\n")

    def press(self, keys: bytes) -> None:
        """Keys, as the terminal sends them: b"\\x03" is Ctrl-C."""
        os.write(self._descriptor, keys)

    def hang_up(self) -> None:
        """Closes the terminal's window."""
        os.close(self._descriptor)
        self._descriptor = -1

    def close(self) -> None:
        """Gives the terminal back."""
        if self._descriptor >= 0:
            self.hang_up()

    def _read(self) -> None:
        ready, _, _ = select.select([self._descriptor], [], [], 0.05)
        if ready:
            with contextlib.suppress(OSError):  # the program ended
                self._seen += os.read(self._descriptor, 65_536)


@contextlib.contextmanager
def on_terminal(
    command: Sequence[str], environment: Mapping[str, str], *, columns: int = 80
) -> Iterator[Terminal]:
    """`command` in a session of its own whose terminal has so many columns; killed at the end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    process = subprocess.Popen(
        command,
        env={**environment, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_terminal,  # noqa: PLW1509 - nothing is locked between fork and exec
    )
    os.close(theirs)
    terminal = Terminal(process, ours)
    try:
        yield terminal
    finally:
        process.kill()
        process.wait()
        terminal.close()


def _take_terminal() -> None:
    """In the child: its standard input becomes the terminal that Ctrl-C comes from."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
