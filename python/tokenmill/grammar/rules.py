"""Decisions about new schemas, pure: how many an account may bring, which engines know a grammar.

The time is an argument. `inference/grammars.py` and control's `grammar_warmer.py` do what is
decided here.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterable

_MINUTE_NS = 60_000_000_000
_ACCOUNTS_MAX = 4_096


class NewSchemaRate:
    """How often an account may bring a schema that nobody has compiled yet: a minute's worth at
    once, and more as time passes."""

    def __init__(self, per_minute: int) -> None:
        self._interval_ns = _MINUTE_NS // per_minute
        self._full_ns: dict[int, int] = {}  # when an account's bucket will be full again

    def take(self, account_id: int, now_ns: int) -> int:
        """0 if there is room for one more, else the nanoseconds until there is."""
        full_ns = max(self._full_ns.get(account_id, 0), now_ns)
        wait_ns = full_ns + self._interval_ns - _MINUTE_NS - now_ns
        if wait_ns > 0:
            return wait_ns
        if len(self._full_ns) >= _ACCOUNTS_MAX:
            self._full_ns = {key: value for key, value in self._full_ns.items() if value > now_ns}
        self._full_ns[account_id] = full_ns + self._interval_ns
        return 0


class SeenGrammars:
    """Which engines were given which grammar, of those that were given last: a bit a slot."""

    def __init__(self, grammars_max: int) -> None:
        self._grammars_max = grammars_max
        self._seen: OrderedDict[bytes, int] = OrderedDict()  # by digest
        self._tenants: dict[int, Hashable] = {}

    def meet(self, slot: int, tenant: Hashable) -> None:
        """Who is in the slot now; another one than before has seen nothing."""
        if self._tenants.get(slot) == tenant:
            return
        self._tenants[slot] = tenant
        for digest in self._seen:
            self._seen[digest] &= ~(1 << slot)

    def missing(self, digest: bytes, slots: Iterable[int]) -> list[int]:
        """Those of the slots that have not seen the grammar."""
        seen = self._seen.get(digest, 0)
        return [slot for slot in slots if not seen >> slot & 1]

    def note(self, digest: bytes, slots: Iterable[int]) -> None:
        """They see it; what was noted longest ago makes room."""
        seen = self._seen.pop(digest, 0)
        for slot in slots:
            seen |= 1 << slot
        self._seen[digest] = seen
        if len(self._seen) > self._grammars_max:
            self._seen.popitem(last=False)
