"""Processes of a house whose supervisor was killed, which serve until this house does."""

import logging
import os
import socket
from pathlib import Path

from tokenmill.handover import Part, Predecessor, find_predecessor
from tokenmill.listening import is_listening_at
from tokenmill.state_folder import handover_sockets

logger = logging.getLogger("tokenmill.supervisor")


class Predecessors:
    """Those that were found, less those that were told to leave."""

    def __init__(self, found: list[Predecessor]) -> None:
        self._serving = found

    def __bool__(self) -> bool:
        return bool(self._serving)

    def parts(self) -> frozenset[Part]:
        """What they serve as."""
        return frozenset(each.part for each in self._serving)

    def public(self, host: str, port: int) -> socket.socket | None:
        """The socket that clients connect to, if it is at this address."""
        for each in self._serving:
            if each.part == "worker" and is_listening_at(each.listener, host, port):
                return _again(each.listener)
        return None

    def engine_socket(self) -> socket.socket | None:
        """The socket of the embedded engine."""
        engine = self._engine()
        return None if engine is None else _again(engine.listener)

    def hand_on_engine(self) -> int:
        """The way to the embedded engine, for the one that takes its place and sends it away; -1
        if there is none."""
        engine = self._engine()
        if engine is None:
            return -1
        self._serving.remove(engine)
        engine.listener.close()
        return engine.connection.detach()

    def _engine(self) -> Predecessor | None:
        return next((each for each in self._serving if each.part == "engine"), None)

    def dismiss(self) -> None:
        """All may leave; those without a place in this house too."""
        for each in self._serving:
            each.dismiss()
        self._serving.clear()


def _again(listener: socket.socket) -> socket.socket:
    """The same socket. `socket.dup` would make it a blocking one, for its server too, which then
    hangs in `accept`."""
    return socket.socket(fileno=os.dup(listener.fileno()))


def find_predecessors(state: Path) -> Predecessors:
    """Whoever serves from this state folder, whose lock is held: so no supervisor has them."""
    found = [each for each in map(find_predecessor, handover_sockets(state)) if each is not None]
    if found:
        parts: list[Part] = [each.part for each in found]
        logger.info("taking over from a house without supervisor", extra={"processes": parts})
    return Predecessors(found)
