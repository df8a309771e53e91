"""The script that works on purses, and the names of what lies in Redis.

A purse is one key, so that it is there whole or not at all; its name's braces put all that belongs
to an account on one server, should there be several.
"""

import hashlib
from importlib import resources

SCRIPT = resources.files("tokenmill.purses").joinpath("purse.lua").read_text(encoding="utf-8")
SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
"""What Redis calls it."""


class Names:
    """Names of keys, under a prefix of this installation."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.server = f"{prefix}:server"  # which server's data the houses have agreed on
        self.loads = f"{prefix}:loads"  # what each house has in flight with which engine
        self.busy = f"{prefix}:busy"  # accounts by the time at which requests were last admitted

    def purse(self, account_id: int) -> str:
        return f"{self._prefix}:{{{account_id}}}"

    def house(self, incarnation: int) -> str:
        """There as long as the house gives signs of life."""
        return f"{self._prefix}:house:{incarnation}"
