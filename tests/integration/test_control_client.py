"""Asking control over its socket: answers, refusals, and a control that is not there."""

import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tokenmill.control_client import ControlAway, ControlClient, ControlRefused
from tokenmill.keys.views import CreateKey

REFUSAL = b'{"error":{"message":"no room","type":"x","param":null,"code":"too_many_keys"}}'

ANSWERS = {"/200/list": b"[1,2]", "/404/": REFUSAL, "/500/": b"oops", "/200/odd": b'"text"'}


class Scripted(BaseHTTPRequestHandler):
    """Answers by path: `/STATUS/...`; with what it was sent under `/200/echo`."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/silent":
            self.server.silence.wait()  # type: ignore[attr-defined]
            return
        if self.path == "/broken":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
            return
        answer = body if self.path == "/200/echo" else ANSWERS[self.path]
        self.send_response(int(self.path[1:4]))
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = answer  # noqa: N815 (named by the library)

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def address_string(self) -> str:
        return "socket"


@contextmanager
def scripted_control() -> Iterator[Path]:
    """A control that answers as its paths say."""
    with tempfile.TemporaryDirectory(prefix="tm-") as folder:
        path = Path(folder) / "control.sock"
        with socketserver.ThreadingUnixStreamServer(str(path), Scripted) as server:
            server.silence = threading.Event()  # type: ignore[attr-defined]
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield path
            finally:
                server.silence.set()  # type: ignore[attr-defined]
                server.shutdown()
                thread.join()


@pytest.fixture(scope="module", name="client")
def _client() -> Iterator[ControlClient]:
    with scripted_control() as path:
        yield ControlClient(path, timeout_s=5)


def test_answers_are_decoded(client: ControlClient) -> None:
    assert client.is_there()
    assert client.get("/200/list", list[int]) == [1, 2]
    wish = CreateKey(name="ci")
    assert client.post("/200/echo", wish, CreateKey) == wish


def test_a_refusal_keeps_its_words(client: ControlClient) -> None:
    with pytest.raises(ControlRefused, match="no room") as caught:
        client.get("/404/", list[int])
    assert (caught.value.code, caught.value.status) == ("too_many_keys", 404)


def test_an_answer_that_is_no_envelope_is_told_by_its_status(client: ControlClient) -> None:
    with pytest.raises(ControlRefused, match="status 500"):
        client.get("/500/", list[int])


def test_an_answer_of_another_version_is_named(client: ControlClient) -> None:
    with pytest.raises(ControlRefused, match="another version"):
        client.get("/200/odd", list[int])


def test_something_else_on_the_socket_is_no_control(client: ControlClient) -> None:
    with pytest.raises(ControlAway):
        client.get("/broken", list[int])


def test_silence_ends() -> None:
    with scripted_control() as path:
        client = ControlClient(path, timeout_s=0.05)
        with pytest.raises(ControlRefused, match=r"within 0\.05 s"):
            client.get("/silent", list[int])


@pytest.mark.parametrize("is_file", [True, False])
def test_nobody_there(tmp_path: Path, is_file: bool) -> None:
    path = tmp_path / "control.sock"
    if is_file:
        path.touch()
    client = ControlClient(path)
    assert not client.is_there()
    with pytest.raises(ControlAway):
        client.get("/200/list", list[int])
