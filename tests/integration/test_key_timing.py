"""How long a refusal of a key takes says nothing of how much of a key was guessed right.

Welch's test over tries in turns, on the native call that a request's key goes through.
`TOKENMILL_TEST_KEY_TRIES` says how many of each kind (50,000 for a long run). Chance alone finds a
difference in one run of a hundred, so only three runs in a row that find one are a failure.
"""

import itertools
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from tokenmill._native import KeyRefusal, Segment
from tokenmill.ids import BASE62
from tokenmill.keys.rules import RANDOM_CHARACTERS, digest, make_secret

TRIES = int(os.environ.get("TOKENMILL_TEST_KEY_TRIES", "4000"))
RUNS = 3
T_OF_ONE_PERCENT = 2.576
"""|t| beyond which, with thousands of tries, chance alone gives p < 0.01."""

KEPT = 0.9
"""The slowest tries met another program, not our code."""

Guess = Callable[[random.Random], bytes]


def letters(dice: random.Random, count: int) -> str:
    return "".join(dice.choices(BASE62, k=count))


def known_keys(segment: Segment, count: int) -> list[str]:
    """The random parts of keys that open something."""
    dice = random.Random(5)
    parts = [letters(dice, RANDOM_CHARACTERS) for _ in range(count)]
    for number, part in enumerate(parts):
        segment.put_key(
            digest(make_secret(part)),
            key_id=number + 1,
            account_id=1,
            tier=0,
            scopes=1,
            expires_at_s=0,
        )
    return parts


def welch_t(one: list[int], other: list[int]) -> float:
    """How far two means are apart, in standard errors; of the quicker tries of each."""
    means, errors = [], []
    for times in (one, other):
        kept = sorted(times)[: int(len(times) * KEPT)]
        means.append(statistics.fmean(kept))
        errors.append(statistics.variance(kept) / len(kept))
    return (means[0] - means[1]) / max(sum(errors), 1e-9) ** 0.5


def compare(segment: Segment, one: Guess, other: Guess, dice: random.Random) -> float:
    """Welch's t of the times of two kinds of guesses, tried in an order of chance."""
    times: tuple[list[int], list[int]] = ([], [])
    # Made before any is tried: what making them leaves in the processor's caches is not measured.
    guesses = [(0, one(dice)) for _ in range(TRIES)] + [(1, other(dice)) for _ in range(TRIES)]
    dice.shuffle(guesses)
    for kind, secret in guesses:
        began = time.perf_counter_ns()
        found = segment.find_key(secret, 0)
        times[kind].append(time.perf_counter_ns() - began)
        assert isinstance(found, KeyRefusal), (kind, secret)
    return welch_t(*times)


def test_a_guess_that_is_nearly_right_is_refused_as_quickly_as_any(tmp_path: Path) -> None:
    path = str(tmp_path / "hot.segment")
    segment = Segment.create(path, keys_max=2 * TRIES, workers_max=1, engines_max=1)
    # As many as tries: a processor learns a text that comes often, whether it opens or not.
    parts = itertools.cycle(known_keys(segment, TRIES))

    def nearly(dice: random.Random) -> bytes:
        """All but the last of a key's characters; its checksum is right."""
        part = next(parts)
        wrong = BASE62[(BASE62.index(part[-1]) + dice.randrange(1, len(BASE62))) % len(BASE62)]
        return make_secret(part[:-1] + wrong).encode()

    def anything(dice: random.Random) -> bytes:
        return make_secret(letters(dice, RANDOM_CHARACTERS)).encode()

    def broken(dice: random.Random) -> bytes:
        """What is no key at all costs less: so a difference would be seen."""
        return b"pk_live_" + letters(dice, 10).encode()

    assert abs(compare(segment, broken, anything, random.Random(1))) > T_OF_ONE_PERCENT
    found = []
    for run in range(RUNS):
        found.append(compare(segment, nearly, anything, random.Random(run)))
        if abs(found[-1]) <= T_OF_ONE_PERCENT:
            break
    print(f"Welch's t of {TRIES} tries each, run by run: {[round(each, 2) for each in found]}")
    assert abs(found[-1]) <= T_OF_ONE_PERCENT, found
