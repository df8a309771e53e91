"""A process that changes keys of a hot segment for ever, to be killed at any instruction.

`python -m tests.support.key_writer SEGMENT SEED` prints `ready` after its first round. It puts,
replaces and revokes the keys 0 to KEYS - 1; a key's record is a function of its version, so that a
reader can tell a torn one.
"""

import random
import sys

from tokenmill._native import KeyEntry, KeyRefusal, Segment
from tokenmill.keys import rules

KEYS = 24


def secret(number: int) -> bytes:
    """The text of key `number`."""
    return rules.make_secret(f"{number:036d}").encode()


def put(segment: Segment, number: int, version: int) -> None:
    """Puts `version` of a key."""
    segment.put_key(
        rules.digest(secret(number).decode()),
        key_id=version,
        account_id=version * 1_000_003,
        tier=version % 251,
        scopes=version % 65_521,
        expires_at_s=0,
    )


def is_whole(found: KeyEntry | KeyRefusal) -> bool:
    """Whether an answer is one that some version makes."""
    if isinstance(found, KeyRefusal):
        return found in (KeyRefusal.UNKNOWN, KeyRefusal.REVOKED)
    version = found.key_id
    expected = (version * 1_000_003, version % 251, version % 65_521)
    return (found.account_id, found.tier, found.scopes) == expected


def main() -> None:
    """Writes until it is killed."""
    segment = Segment.attach(sys.argv[1])
    chance = random.Random(int(sys.argv[2]))
    for number in range(KEYS):
        put(segment, number, 1)
    print("ready", flush=True)
    while True:
        number = chance.randrange(KEYS)
        if chance.random() < 0.4:
            segment.revoke_key(rules.digest(secret(number).decode()))
        else:
            put(segment, number, chance.randrange(1, 1 << 40))


if __name__ == "__main__":
    main()
