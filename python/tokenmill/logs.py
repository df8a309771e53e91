"""Logging of every process: JSON lines for programs, one coloured line for people, on stderr.

Uses the standard library only; `extra={...}` becomes fields. Secrets are taken out of the finished
line, so that arguments, fields and tracebacks are covered alike. Called once at a process's start.
"""

import contextlib
import logging
import os
import re
import sys
import time
from typing import Any, Literal

import msgspec

LogFormat = Literal["auto", "pretty", "json"]

_SECRETS = re.compile(
    r"(?P<key>\b[a-z]{2}_live_)[0-9A-Za-z]+"
    r"|(?P<query>\bapi_key=)[^&\s\"'\\]+"
    r"|(?P<bearer>\b[Bb]earer )[^\s\"'\\,]+"
)
_PLAIN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_COLOURS = {"DEBUG": "2", "INFO": "36", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


def redact(text: str) -> str:
    """`text` without the secret part of keys, `api_key=` queries and bearer tokens."""
    return _SECRETS.sub(lambda found: f"{found[found.lastgroup or 0]}…", text)


def configure_logging(log_format: LogFormat, level: str, process: str) -> None:
    """Sends every logger of this process to stderr. `process` is named in each line."""
    if log_format == "auto":
        log_format = "pretty" if sys.stderr is not None and sys.stderr.isatty() else "json"
    formatter = PrettyFormatter(process) if log_format == "pretty" else JsonFormatter(process)
    handler = _StderrHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    # One line a request or a plugin is theirs to say at "debug" only.
    for chatty in ("httpx", "httpcore", "alembic", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


class _StderrHandler(logging.StreamHandler[Any]):
    """Writes to stderr; a reader that went away ends the logging, never the process."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name it has
        if not isinstance(sys.exc_info()[1], OSError | ValueError):
            super().handleError(record)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, process, logger, message, then the fields."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "process": self._process,
            "pid": record.process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(extra_fields(record))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return redact(msgspec.json.encode(line, enc_hook=str).decode())


class PrettyFormatter(logging.Formatter):
    """`12:01:02.123 info  worker-0  what happened  key=value`, coloured on a terminal."""

    def __init__(self, process: str, *, coloured: bool | None = None) -> None:
        super().__init__()
        self._process = process
        self._coloured = _wants_colour() if coloured is None else coloured

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = self._paint(f"{record.levelname.lower():<7}", _COLOURS.get(record.levelname, "0"))
        fields = "".join(
            self._paint(f"  {name}={value}", "2") for name, value in extra_fields(record).items()
        )
        head = self._paint(f"{clock}.{int(record.msecs):03d}", "2")
        line = f"{head} {level} {self._process:<9} {record.getMessage()}{fields}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redact(line)

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._coloured else text


def extra_fields(record: logging.LogRecord) -> dict[str, Any]:
    """What was given as `extra`: the attributes that a plain record does not have."""
    return {name: value for name, value in vars(record).items() if name not in _PLAIN_FIELDS}


def flush_logs() -> None:
    """Everything logged so far is written; for processes that end without Python's own end."""
    for handler in logging.getLogger().handlers:
        with contextlib.suppress(OSError, ValueError):
            handler.flush()


def _utc(created: float) -> str:
    fraction = int(created % 1 * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created)) + f".{fraction:03d}Z"


def _wants_colour() -> bool:
    """Source: no-color.org."""
    return sys.stderr is not None and sys.stderr.isatty() and not os.environ.get("NO_COLOR")
