"""The intents: what is asked in many ways and answered in one, read from `phrasings/*.txt`.

A file holds blocks: `[name]`, or `[name x2]` for one that comes twice as often, then `= answer`,
then one question pattern a line. A line such as `do: cancel a batch / stop a batch` puts each part
into the frames of that name.
"""

import random
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from demo_model.corpus.frames import FRAMES
from demo_model.corpus.patterns import expand

FOLDER = Path(__file__).parent / "phrasings"
FRAMED_SHARE = 0.5  # of the questions of an intent that has both lines of its own and frames


@dataclass
class Intent:
    """`framed` are pairs of a frame's name and what stands for X in it."""

    name: str
    answer: str = ""
    weight: float = 1.0
    patterns: list[str] = field(default_factory=list)
    framed: list[tuple[str, str]] = field(default_factory=list)

    def question(self, rng: random.Random) -> str:
        if self.framed and (not self.patterns or rng.random() < FRAMED_SHARE):
            frame, thing = rng.choice(self.framed)
            return capitalize(expand(rng.choice(FRAMES[frame]).replace("X", thing), rng))
        return expand(rng.choice(self.patterns), rng)


def capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


def read_intents(folder: Path = FOLDER) -> list[Intent]:
    """All intents of a folder, in the order of the files.

    Raises: ValueError, for a block without answer or questions.
    """
    intents: list[Intent] = []
    for file in sorted(folder.glob("*.txt")):
        for line in file.read_text().splitlines():
            if line and not line.startswith("# "):
                add_line(intents, line)
    for intent in intents:
        if not intent.answer or not (intent.patterns or intent.framed):
            raise ValueError(f"intent {intent.name} is not complete")
    return intents


def add_line(intents: list[Intent], line: str) -> None:
    """Puts one line of a file into the last intent, or begins a new one."""
    kind, separator, things = line.partition(": ")
    if line.startswith("["):
        name, _, weight = line.strip("[]").partition(" x")
        intents.append(Intent(name, weight=float(weight or 1)))
    elif line.startswith("= "):
        intents[-1].answer = line[2:].replace("\\n", "\n")
    elif separator and kind in FRAMES:
        intents[-1].framed += [(kind, thing.strip()) for thing in things.split(" / ")]
    else:
        intents[-1].patterns.append(line)


INTENTS = read_intents()
WEIGHTS = list(accumulate(intent.weight for intent in INTENTS))


def pick_intent(rng: random.Random) -> Intent:
    return rng.choices(INTENTS, cum_weights=WEIGHTS)[0]
