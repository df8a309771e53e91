"""Processes of a house whose supervisor was killed, which serve until this house does."""

import logging
import os
import socket
from pathlib import Path

from tokenmill.handover import Part, Predecessor, find_predecessor
from tokenmill.listening import is_listening_at
from tokenmill.state_folder import handover_socket, handover_sockets

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

    def shared(self, part: Part) -> socket.socket | None:
        """The socket of the engine or of control."""
        found = self._find(part)
        return None if found is None else _again(found.listener)

    def public(self, host: str, port: int) -> socket.socket | None:
        """The socket that clients connect to, if it is at this address."""
        for each in self._serving:
            if each.part == "worker" and is_listening_at(each.listener, host, port):
                return _again(each.listener)
        return None

    def look_for_control(self, state: Path) -> bool:
        """Whether one serves that is not of this house: that of the house before, too, if who was
        to follow it died first."""
        if self._find("control") is None:
            found = find_predecessor(handover_socket(state, "control"))
            self._serving += [] if found is None else [found]
        return self._find("control") is not None

    def hand_on(self, part: Part) -> int:
        """The way to the engine or to control, for the one that takes its place and sends it away;
        -1 if there is none."""
        found = self._find(part)
        if found is None:
            return -1
        self._serving.remove(found)
        found.listener.close()
        return found.connection.detach()

    def dismiss(self) -> None:
        """All may leave; those without a place in this house too. Not control, which is told by the
        one that follows."""
        for each in self._serving:
            if each.part != "control":
                each.dismiss()
        self._serving = [each for each in self._serving if each.part == "control"]

    def _find(self, part: Part) -> Predecessor | None:
        return next((each for each in self._serving if each.part == part), None)


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
