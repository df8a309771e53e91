"""Sentence frames: the many ways to ask for one thing, with X for what is asked about.

An intent file names only the X ("do: cancel a batch / ..."); the frames of `frames.txt` turn each
into a question as people put it: asked, indirect, as a wish, as an order, or as bare words.
"""

from pathlib import Path


def read_blocks(path: Path) -> dict[str, list[str]]:
    """The lines of each `[name]` block of a file; comments begin with a hash and a blank."""
    blocks: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("["):
            blocks[name := line.strip("[]")] = []
        elif line and not line.startswith("# "):
            blocks[name].append(line)
    return blocks


FRAMES = read_blocks(Path(__file__).parent / "frames.txt")
