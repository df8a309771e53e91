"""Which process listens on a TCP port: for the words of a refusal and for `tokenmill doctor`.

Linux tells by /proc; elsewhere, and for processes of other users, nothing is known.
"""

from collections.abc import Iterator
from pathlib import Path

_LISTENING = "0A"


def find_port_holder(port: int) -> str:
    """`process 42 (python3)`, or nothing where it cannot be known. Cost: a walk over /proc."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not sockets:
        return ""
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _holds(process, sockets):
            return f"process {process.name} ({_name(process)})"
    return ""


def _listening_inodes(port: int) -> Iterator[str]:
    suffix = f":{port:04X}"
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if columns[1].endswith(suffix) and columns[3] == _LISTENING:
                yield columns[9]


def _holds(process: Path, sockets: set[str]) -> bool:
    try:
        return any(str(fd.readlink()) in sockets for fd in (process / "fd").iterdir())
    except OSError:
        return False


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "?"
