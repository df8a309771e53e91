"""Asks control of this machine, over its private socket. Standard library alone: a command that
asks one question should not load an HTTP stack.
"""

import http.client
import socket
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

TIMEOUT_S = 30.0

T = TypeVar("T")


class ControlAway(Exception):
    """No control answers on the socket: the house is down, or about to be up."""


class ControlRefused(Exception):
    """Control answered, and said no. The message is the answer's own."""

    def __init__(self, message: str, code: str, status: int) -> None:
        self.code = code
        self.status = status
        super().__init__(message)


class _Detail(Struct):
    message: str = ""
    code: str | None = None


class _Envelope(Struct):
    error: _Detail


class ControlClient:
    """Requests to the control process that listens on `socket_path`."""

    def __init__(self, socket_path: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self._socket_path = socket_path
        self._timeout_s = timeout_s

    def is_there(self) -> bool:
        """Whether somebody listens; control itself may still be on its way up."""
        connection = _UnixConnection(self._socket_path, self._timeout_s)
        try:
            connection.connect()
        except OSError:
            return False
        finally:
            connection.close()
        return True

    def get(self, path: str, wanted: type[T]) -> T:
        """What control answers. Raises: ControlAway, ControlRefused."""
        return self._request("GET", path, b"", wanted)

    def post(self, path: str, wish: Struct | None, wanted: type[T]) -> T:
        """What control answers to `wish`. Raises: ControlAway, ControlRefused."""
        body = b"" if wish is None else msgspec.json.encode(wish)
        return self._request("POST", path, body, wanted)

    def patch(self, path: str, wish: Struct, wanted: type[T]) -> T:
        """What control answers to a change. Raises: ControlAway, ControlRefused."""
        return self._request("PATCH", path, msgspec.json.encode(wish), wanted)

    def _request(self, method: str, path: str, body: bytes, wanted: type[T]) -> T:
        connection = _UnixConnection(self._socket_path, self._timeout_s)
        headers = {"content-type": "application/json"} if body else {}
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            status, text = answer.status, answer.read()
        except TimeoutError as error:
            message = f"control did not answer within {self._timeout_s:g} s: look at its log"
            raise ControlRefused(message, "timeout", 504) from error
        except (OSError, http.client.HTTPException) as error:
            raise ControlAway(f"{self._socket_path}: {error}") from error
        finally:
            connection.close()
        if status >= 400:
            raise _refusal(status, text)
        try:
            return msgspec.json.decode(text, type=wanted)
        except msgspec.DecodeError as error:
            message = f"control speaks another version than this command: {error}"
            raise ControlRefused(message, "version", status) from error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("control", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _refusal(status: int, text: bytes) -> ControlRefused:
    try:
        detail = msgspec.json.decode(text, type=_Envelope).error
    except msgspec.DecodeError:
        detail = _Detail()
    message = detail.message or f"control answered with status {status}"
    return ControlRefused(message, detail.code or "", status)
