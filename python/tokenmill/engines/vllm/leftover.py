"""The memory of a vLLM over the death of the child that held it.

Killed with SIGKILL, the child cannot end vLLM's process group; the next one reads here which group
it was. The group is only killed if its leader still runs with that port on its command line.
"""

import contextlib
import os
import signal
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


def end_leftover(record: Path, port: int) -> bool:
    """Kills the group in the record, if it still runs; whether there was one."""
    try:
        group = msgspec.json.decode(record.read_bytes(), type=_Group)
        words = Path(f"/proc/{group.leader}/cmdline").read_bytes().split(b"\0")
    except (OSError, msgspec.DecodeError):
        return False
    if group.port != port or str(port).encode() not in words:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group.leader, signal.SIGKILL)
        return True
    return False
