"""What every child process of the supervisor does first: settings, logging, name; and last: leave.

A child is started as `python -m MODULE --listen-fd N --life-fd N --settings-fd N`. The settings are
one JSON document in an inherited descriptor; the life pipe ends when the supervisor does. It knows
nothing of what a child serves: control, the workers and the embedded engine call it.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import msgspec
from msgspec import Struct

from tokenmill.logs import configure_logging, flush_logs
from tokenmill.settings import EngineSettings, Settings

logger = logging.getLogger(__name__)


class ChildSettings(Struct, frozen=True, kw_only=True):
    """What the supervisor tells a child. `worker` is a worker's slot in the hot segment."""

    settings: Settings
    control_socket: str = ""
    segment: str = ""
    local_engines: tuple[EngineSettings, ...] = ()
    worker: int = 0


class ChildStart(Struct, frozen=True, kw_only=True):
    """The inherited descriptors, and the settings that were read from one of them."""

    listen_fd: int
    life_fd: int
    child: ChildSettings
    worker: int = 0
    predecessor_fd: int = -1  # the way to who serves the same socket until this process does
    call_fd: int = -1  # of a standby: it begins when it reads a byte there


def encode_child(child: ChildSettings) -> bytes:
    """The JSON document that `decode_child` reads."""
    return msgspec.json.encode(child, enc_hook=_encode_path)


def decode_child(document: bytes) -> ChildSettings:
    """Raises: msgspec.ValidationError, if supervisor and child are of different versions."""
    return msgspec.json.decode(document, type=ChildSettings, dec_hook=_decode_path)


def read_start(arguments: Sequence[str], process: str) -> ChildStart:
    """What `arguments` hand over; logging runs and the process has its name afterwards."""
    parser = argparse.ArgumentParser(prog=f"tokenmill {process}")
    for name in ("--listen-fd", "--life-fd", "--settings-fd"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--predecessor-fd", type=int, default=-1)
    parser.add_argument("--call-fd", type=int, default=-1)
    given = parser.parse_args(arguments)
    # pread: the offset of an inherited descriptor is shared with whoever else reads it.
    size = os.fstat(given.settings_fd).st_size
    child = decode_child(os.pread(given.settings_fd, size, 0))
    os.close(given.settings_fd)
    label = f"{process}-{given.worker}" if process == "worker" else process
    configure_logging(child.settings.log_format, child.settings.log_level, label)
    name_process("standby" if given.call_fd >= 0 else label)
    return ChildStart(
        listen_fd=given.listen_fd,
        life_fd=given.life_fd,
        child=child,
        worker=given.worker,
        predecessor_fd=given.predecessor_fd,
        call_fd=given.call_fd,
    )


def name_process(label: str) -> None:
    """Shows `label` as the process's short name in ps and top, where the system has such a file."""
    try:
        Path("/proc/self/comm").write_text(f"tm-{label}"[:15])
    except OSError:
        logger.debug("this system does not name processes")


def run_child(main: Callable[[], bool]) -> NoReturn:
    """Runs `main` and ends the process at once; native threads and open streams cannot hold it.

    Exit status: 0; 1 after an exception, which is logged. `main` returns whether all that ran has
    ended by itself.
    """
    sys.excepthook = _leave_after_error
    try:
        if not main():
            logger.warning("left with open connections")
    except SystemExit as leaving:
        leave(leaving.code if isinstance(leaving.code, int) else 1)
    except KeyboardInterrupt:
        leave(130)
    leave(0)


def leave(status: int) -> NoReturn:
    """Ends this process now; what was logged is written first."""
    flush_logs()
    os._exit(status)


def _leave_after_error(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logger.critical("ended by an error", exc_info=(kind, error, trace))
    leave(1)


def _encode_path(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot encode {type(value).__name__}")


def _decode_path(wanted: type, value: Any) -> Any:
    if wanted is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"cannot decode {wanted.__name__}")
