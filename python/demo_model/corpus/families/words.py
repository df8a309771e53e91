"""Words that the families draw from: known ones out of `words.txt`, and invented ones."""

import random
from pathlib import Path

from demo_model.corpus.frames import read_blocks

WORDS = {
    name: " ".join(lines).split("; ")
    for name, lines in read_blocks(Path(__file__).parent / "words.txt").items()
}
NOUNS, ADJECTIVES, GOODS = WORDS["nouns"], WORDS["adjectives"], WORDS["goods"]
FIRST_NAMES, LAST_NAMES = WORDS["first_names"], WORDS["last_names"]
CITIES, LONG_CITIES = WORDS["cities"], WORDS["long_cities"]
DATES, PLACES = WORDS["dates"], WORDS["places"]
SYLLABLES = WORDS["syllables"]


def made_up(rng: random.Random) -> str:
    """A word nobody has seen: the only way to copy it is to really copy it."""
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 3)))


def pick(rng: random.Random, known: list[str], invented_share: float = 0.08) -> str:
    return made_up(rng) if rng.random() < invented_share else rng.choice(known)


def pick_city(rng: random.Random) -> str:
    if rng.random() < 0.12:
        return rng.choice(LONG_CITIES)
    return pick(rng, CITIES).capitalize()
