"""A proxy before a server on the loopback that can be slow, stuck, cut, or turned elsewhere."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

_POLL_S = 0.01


class TcpProxy:
    """Passes bytes on. `delay_s` before each piece of an answer; `is_stuck`: none comes."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.delay_s = 0.0
        self.is_stuck = False
        self._is_over = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Ends every connection."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for one in pair:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Nobody listens afterwards."""
        self._is_over = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                client.close()
                continue
            self._pairs.append((client, server))
            for source, target, is_answer in ((client, server, False), (server, client, True)):
                arguments = (source, target, is_answer)
                threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if is_answer and self.delay_s:
                    time.sleep(self.delay_s)
                while is_answer and self.is_stuck and not self._is_over:
                    time.sleep(_POLL_S)
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextlib.contextmanager
def tcp_proxy(target_port: int) -> Iterator[TcpProxy]:
    """A running proxy, on a free port."""
    proxy = TcpProxy(target_port)
    try:
        yield proxy
    finally:
        proxy.close()
