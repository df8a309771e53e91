"""What tokenmill leans on in Granian, pinned: inherited sockets, stopping, time-outs, no stalls.

Each server is a process of its own on a socket that the test holds, as under the supervisor.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from tokenmill.listening import listen_tcp

ROOT = Path(__file__).resolve().parents[2]
QUICK_ACKNOWLEDGE = getattr(socket, "TCP_QUICKACK", socket.TCP_NODELAY)
Serve = Callable[..., subprocess.Popen[bytes]]
Connect = Callable[[socket.socket], HTTPConnection]


class UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.host)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with listen_tcp("127.0.0.1", 0) as bound:
        yield bound


@pytest.fixture
def life() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    try:
        os.close(writing)
    except OSError:
        assert True, "the test closed it"


@pytest.fixture
def serve(life: tuple[int, int]) -> Iterator[Serve]:
    started: list[subprocess.Popen[bytes]] = []

    def start(listener: socket.socket, *arguments: str) -> subprocess.Popen[bytes]:
        descriptors = (listener.fileno(), life[0])
        command = [sys.executable, "-m", "tests.support.served_app"]
        command += ["--listen-fd", str(descriptors[0]), "--life-fd", str(descriptors[1])]
        process = subprocess.Popen([*command, *arguments], pass_fds=descriptors, cwd=ROOT)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connections to a listener's address; closed after the test, with the answers they gave."""
    made: list[HTTPConnection] = []

    def start(listener: socket.socket) -> HTTPConnection:
        address = listener.getsockname()
        if isinstance(address, str):
            connection: HTTPConnection = UnixConnection(address)
        else:
            connection = HTTPConnection(address[0], address[1], timeout=30)
        made.append(connection)
        return connection

    yield start
    for connection in made:
        connection.close()


def get(connection: HTTPConnection, path: str) -> HTTPResponse:
    connection.request("GET", path)
    return connection.getresponse()


def answering_pid(connection: HTTPConnection) -> int:
    return int(get(connection, "/pid").read())


def is_closed_by_server(connection: HTTPConnection) -> bool:
    assert connection.sock is not None
    return connection.sock.recv(1) == b""


def test_an_inherited_tcp_socket_is_served(
    listener: socket.socket, serve: Serve, connect: Connect
) -> None:
    process = serve(listener)
    assert answering_pid(connect(listener)) == process.pid


def test_an_inherited_unix_socket_is_served(tmp_path: Path, serve: Serve, connect: Connect) -> None:
    path = str(tmp_path / "control.sock")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
        bound.listen()
        process = serve(bound)
        assert answering_pid(connect(bound)) == process.pid


def test_what_waited_when_a_process_was_killed_is_served_by_the_next(
    listener: socket.socket, serve: Serve, connect: Connect
) -> None:
    first = serve(listener)
    assert answering_pid(connect(listener)) == first.pid
    first.send_signal(signal.SIGSTOP)
    os.waitpid(first.pid, os.WUNTRACED)  # all its threads have stopped: none accepts any more
    waiting = connect(listener)
    waiting.request("GET", "/pid")
    first.kill()
    first.wait()
    second = serve(listener)
    assert int(waiting.getresponse().read()) == second.pid


def test_after_stop_accepting_old_connections_go_on_and_new_ones_are_left_to_others(
    listener: socket.socket, serve: Serve, connect: Connect
) -> None:
    old = serve(listener)
    kept = connect(listener)
    assert answering_pid(kept) == old.pid
    old.send_signal(signal.SIGUSR1)
    assert answering_pid(kept) == old.pid  # the signal was handled before this was answered
    fresh = connect(listener)
    fresh.request("GET", "/pid")
    new = serve(listener)
    assert int(fresh.getresponse().read()) == new.pid
    assert answering_pid(kept) == old.pid


def test_the_port_is_free_when_all_stopped_accepting(
    listener: socket.socket, serve: Serve, connect: Connect
) -> None:
    process = serve(listener)
    kept = connect(listener)
    assert answering_pid(kept) == process.pid
    process.send_signal(signal.SIGUSR1)
    assert answering_pid(kept) == process.pid
    address = listener.getsockname()
    listener.close()
    listen_tcp(*address[:2]).close()
    assert answering_pid(kept) == process.pid


def test_a_stopped_server_ends_idle_connections_and_finishes_streams(
    listener: socket.socket, serve: Serve, connect: Connect
) -> None:
    process = serve(listener)
    idle = connect(listener)
    assert answering_pid(idle) == process.pid
    stream = get(connect(listener), "/stream?count=20&pause_ms=50")
    assert stream.readline() == b"chunk 0\n"
    process.send_signal(signal.SIGTERM)
    assert is_closed_by_server(idle)
    assert stream.read().endswith(b"chunk 19\n")
    assert process.wait(timeout=30) == 0


def test_the_end_of_the_life_pipe_stops_the_server(
    listener: socket.socket, serve: Serve, connect: Connect, life: tuple[int, int]
) -> None:
    process = serve(listener)
    assert answering_pid(connect(listener)) == process.pid
    os.close(life[1])
    assert process.wait(timeout=30) == 0


def test_a_second_signal_does_not_wait_for_streams(
    listener: socket.socket, serve: Serve, connect: Connect
) -> None:
    process = serve(listener)
    stream = get(connect(listener), "/stream?count=1000&pause_ms=50")
    assert stream.readline() == b"chunk 0\n"
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    assert process.wait(timeout=30) == 3


def test_streams_are_cut_when_the_time_to_end_is_over(
    listener: socket.socket, serve: Serve, connect: Connect
) -> None:
    process = serve(listener, "--end-s", "0.2")
    stream = get(connect(listener), "/stream?count=1000&pause_ms=50")
    assert stream.readline() == b"chunk 0\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 3


def test_an_answer_with_connection_close_is_the_connections_last(
    listener: socket.socket, serve: Serve, connect: Connect
) -> None:
    serve(listener)
    connection = connect(listener)
    connection.connect()
    raw = connection.sock
    assert raw is not None
    raw.sendall(b"GET /close HTTP/1.1\r\nHost: here\r\n\r\n")
    received = b""
    while part := raw.recv(4096):
        received += part
    assert received.endswith(b"closing")


def test_idle_connections_and_unfinished_headers_are_closed_after_the_header_time(
    listener: socket.socket, serve: Serve, connect: Connect
) -> None:
    process = serve(listener, "--header-read-ms", "2000")
    kept = connect(listener)
    assert answering_pid(kept) == process.pid
    unfinished = connect(listener)
    unfinished.connect()
    assert unfinished.sock is not None
    unfinished.sock.sendall(b"GET /pid HT")
    assert is_closed_by_server(kept)
    assert is_closed_by_server(unfinished)


def test_the_app_hears_that_its_client_went(
    listener: socket.socket, serve: Serve, connect: Connect
) -> None:
    serve(listener)
    watched = connect(listener)
    answer = get(watched, "/watch")
    assert answer.read(8) == b"watching"
    answer.close()
    watched.close()
    assert get(connect(listener), "/watched").read() == b"gone"


def test_paced_chunks_arrive_one_by_one(
    listener: socket.socket, serve: Serve, connect: Connect
) -> None:
    """Without TCP_NODELAY on the listening socket they arrive in bursts, 40 ms apart."""
    serve(listener)
    connection = connect(listener)
    get(connection, "/pid").read()
    assert connection.sock is not None
    for _ in range(10):  # a client that was not let to read finds several, too
        connection.sock.sendall(b"GET /stream?count=100&pause_ms=5 HTTP/1.1\r\nHost: here\r\n\r\n")
        arrivals, received = 0, b""
        while b"\r\n0\r\n" not in received:
            # The client delays its acknowledgements, as over a network.
            connection.sock.setsockopt(socket.IPPROTO_TCP, QUICK_ACKNOWLEDGE, 0)
            received += connection.sock.recv(65536)
            arrivals += 1
        if arrivals > 70:
            return
    pytest.fail("they arrived in bursts, each time")


def test_a_body_comes_whole_however_late_its_pieces_are(
    listener: socket.socket, serve: Serve, connect: Connect
) -> None:
    serve(listener)
    connection = connect(listener)
    get(connection, "/pid").read()
    assert connection.sock is not None
    for pause_s in (0.0, 0.05, 0.8):  # at once; before the request begins without it; after that
        connection.sock.sendall(b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 6\r\n\r\n")
        for piece in (b"one", b"two"):
            time.sleep(pause_s)
            connection.sock.sendall(piece)
        answer = HTTPResponse(connection.sock)
        answer.begin()
        assert answer.read() == b"onetwo"


def test_a_request_whose_body_never_comes_begins_and_its_connection_ends(
    listener: socket.socket, serve: Serve, connect: Connect
) -> None:
    process = serve(listener)
    connection = connect(listener)
    connection.connect()
    assert connection.sock is not None
    connection.sock.sendall(b"POST /pid HTTP/1.1\r\nHost: here\r\nContent-Length: 6\r\n\r\n")
    received = b""
    while data := connection.sock.recv(65536):
        received += data
    assert received.endswith(str(process.pid).encode())


def test_who_waits_to_be_asked_for_a_body_is_asked_by_the_app_alone(
    listener: socket.socket, serve: Serve, connect: Connect
) -> None:
    serve(listener)
    head = b" HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    for target, first in ((b"/echo", b"HTTP/1.1 100"), (b"/pid", b"HTTP/1.1 200")):
        connection = connect(listener)
        connection.connect()
        assert connection.sock is not None
        connection.sock.sendall(b"POST " + target + head)
        assert connection.sock.recv(len(first)) == first
        connection.sock.close()
