"""The memory of a vLLM over the death of the child that held it.

Killed with SIGKILL, the child cannot end vLLM's process group; the next one reads here which group
it was, and kills what is left of it. A group is only killed if one of its processes still carries
the mark of that engine in its environment: numbers are given again.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct


class _Group(Struct, frozen=True):
    leader: int
    port: int


def remember_group(record: Path, leader: int, port: int) -> None:
    """Notes the process group of a vLLM that was just started."""
    record.write_bytes(msgspec.json.encode(_Group(leader, port)))


def forget_group(record: Path) -> None:
    """The group is gone; a record that is not there is fine."""
    record.unlink(missing_ok=True)


def mark(port: int) -> dict[str, str]:
    """What the engine's processes carry in their environment."""
    return {"TOKENMILL_HELD_PORT": str(port)}


def end_leftover(record: Path, port: int) -> bool:
    """Kills what is left of the group in the record; whether there was anything."""
    try:
        group = msgspec.json.decode(record.read_bytes(), type=_Group)
    except (OSError, msgspec.DecodeError):
        return False
    if group.port != port or not any(map(_is_marked(port), _members(group.leader))):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group.leader, signal.SIGKILL)
        return True
    return False


def _members(leader: int) -> Iterator[Path]:
    """The folders of the group's processes; none where the system has no /proc."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            # After the name, which may hold anything: state, parent, group.
            after_name = (process / "stat").read_text().rpartition(")")[2].split()
            if int(after_name[2]) == leader:
                yield process


def _is_marked(port: int) -> Callable[[Path], bool]:
    marks = {f"{name}={value}".encode() for name, value in mark(port).items()}

    def is_marked(process: Path) -> bool:
        try:
            return not marks.isdisjoint((process / "environ").read_bytes().split(b"\0"))
        except OSError:
            return False

    return is_marked
