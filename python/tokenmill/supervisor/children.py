"""Starting, signalling and reaping children. Decides nothing: `rules.py` does.

A child is an exec of this interpreter, never a fork that goes on: it inherits its socket, the life
pipe (which ends when the supervisor does, whatever ends it) and its settings, and has a session of
its own, so that Ctrl-C reaches the supervisor alone.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from msgspec import Struct

from tokenmill.child import ChildSettings, encode_child
from tokenmill.supervisor.rules import Phase, Role

MODULES: dict[str, str] = {
    "worker": "tokenmill.gateway.worker",
    "control": "tokenmill.control",
    "standby": "tokenmill.control",
    "embedded": "tokenmill.engines.embedded",
    "vllm": "tokenmill.engines.vllm",
}


_KEPT_BYTES = 16 * 1024 * 1024
_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(_KEPT_BYTES),
    "MALLOC_TRIM_THRESHOLD_": str(_KEPT_BYTES),
}
"""What a worker may keep of the memory that long prompts have used. glibc gives it back at once
otherwise and gets it anew page by page, which is a third of what such a prompt costs."""


class Spawned(Struct, kw_only=True):
    """A child process and what is remembered of it. `slot`: a worker's, in the hot segment.
    `call_fd`: a standby hears what is written there, else -1."""

    number: int
    role: Role
    generation: int
    started_ms: int
    process: subprocess.Popen[bytes]
    slot: int = -1
    call_fd: int = -1
    phase: Phase = "starting"
    kill_at_ms: int = 0
    is_killed: bool = False

    @property
    def label(self) -> str:
        """Its name in the log."""
        return f"{self.role}-{self.slot}" if self.role == "worker" else self.role

    def stop_calling(self) -> None:
        """A standby that was not called hears the end, and leaves."""
        if self.call_fd >= 0:
            os.close(self.call_fd)
            self.call_fd = -1


class LifePipe:
    """A pipe that nobody writes to: its readers see the end of it when this process ends."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()


class Inherited(Struct, frozen=True):
    """Descriptors that a child gets. `slot_fd`: the lock of a worker's place, else -1.
    `predecessor_fd`: the way to who serves until this one does, else -1. `call_fd`: what a standby
    waits for, else -1."""

    listen_fd: int
    life_fd: int
    slot_fd: int = -1
    predecessor_fd: int = -1
    call_fd: int = -1

    def close_given(self) -> None:
        """Closes those that only the child is to hold."""
        for given in (self.slot_fd, self.predecessor_fd, self.call_fd):
            if given >= 0:
                os.close(given)


def spawn(
    module: str, child: ChildSettings, inherited: Inherited, state: Path
) -> subprocess.Popen[bytes]:
    """A started child; returns before it runs. Raises: OSError."""
    listen_fd, life_fd, slot_fd = inherited.listen_fd, inherited.life_fd, inherited.slot_fd
    settings_fd = _settings_file(encode_child(child), state)
    # -P: the working folder is nobody's place to put modules.
    command = [sys.executable, "-P", "-m", module]
    command += ["--listen-fd", str(listen_fd), "--life-fd", str(life_fd)]
    command += ["--settings-fd", str(settings_fd)]
    kept = [listen_fd, life_fd, settings_fd]
    if slot_fd >= 0:
        command += ["--worker", str(child.worker)]
        kept.append(slot_fd)
    for flag, descriptor in (
        ("--predecessor-fd", inherited.predecessor_fd),
        ("--call-fd", inherited.call_fd),
    ):
        if descriptor >= 0:
            command += [flag, str(descriptor)]
            kept.append(descriptor)
    try:
        return subprocess.Popen(
            command,
            env={**_MEMORY, **os.environ} if slot_fd >= 0 else None,
            stdin=subprocess.DEVNULL,
            pass_fds=kept,
            start_new_session=True,
        )
    finally:
        os.close(settings_fd)


def _settings_file(document: bytes, state: Path) -> int:
    """A descriptor of an unnamed file with the document: it may hold keys of engines."""
    path = state / f".settings-{os.getpid()}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        path.unlink()
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(document)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def how_it_ended(status: int) -> str:
    """The words for a return code as subprocess gives it."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
