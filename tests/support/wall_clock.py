"""A wall clock that a test moves, for whole houses: `environment` is theirs.

A library of a few lines is compiled with the C compiler that Rust needs too, and preloaded.
"""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("wall_clock.c")


class WallClock:
    """What a house takes for the time of day; its monotonic clock is the machine's."""

    def __init__(self, folder: Path) -> None:
        library, self._told = folder / "wall_clock.so", folder / "wrong_by"
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("there is no C compiler")
        options = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror"]
        command = [compiler, *options, "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, timeout=60)
        self._told.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(library), "WALL_CLOCK": str(self._told)}

    def be_wrong_by(self, seconds: int) -> None:
        """From now on it is, in every process of the house."""
        with self._told.open("r+b") as file:
            file.write(struct.pack("<q", seconds))
