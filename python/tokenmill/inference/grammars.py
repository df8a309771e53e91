"""A worker's grammars: compiled once, kept, and made away from the event loop.

A schema that is known costs a look-up. A new one is compiled by a few threads that do not hold the
interpreter; how many wait for them, and how many new schemas an account may bring, is bounded.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from msgspec import Struct

from tokenmill import grammar
from tokenmill.clock import monotonic_ns
from tokenmill.errors import RateLimited, ServiceUnavailable
from tokenmill.grammar import CompiledSchema, GrammarOptions, SchemaRefusal
from tokenmill.settings import GrammarSettings

_MINUTE_NS = 60_000_000_000
_ACCOUNTS_MAX = 4_096
_ENTRY_BYTES = 256
"""What a kept grammar costs beside its texts, roughly."""
_OVERLOAD_MS = 1_000


class Shape(NamedTuple):
    """Which grammar of a schema is wanted."""

    closed: bool  # objects that declare properties refuse undeclared ones
    deterministic: bool = False  # for llguidance, which the embedded engine decodes by


_Key = tuple[Shape, bytes]


class NoGrammar(Struct, frozen=True, kw_only=True):
    """Why a schema has no grammar: where, which word, why, and what would mend it."""

    pointer: str
    keyword: str
    reason: str
    hint: str

    def __str__(self) -> str:
        where = f"at '#{self.pointer}'"
        keyword = f", keyword `{self.keyword}`" if self.keyword else ""
        hint = f" {self.hint[0].upper()}{self.hint[1:].rstrip('.')}." if self.hint else ""
        return f"{where}{keyword}: {self.reason.rstrip('.')}.{hint}"


class NewSchemaRate:
    """How often an account may bring a schema that nobody has compiled yet: a minute's worth at
    once, and more as time passes. Pure: the time is an argument."""

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


class Grammars:
    """The grammars of one worker. Used on its event loop only."""

    def __init__(self, settings: GrammarSettings) -> None:
        self._settings = settings
        self._kept: OrderedDict[_Key, str | NoGrammar] = OrderedDict()
        self.kept_bytes = 0
        self._pending: dict[_Key, asyncio.Future[str | NoGrammar]] = {}
        self._rate = NewSchemaRate(settings.new_schemas_per_minute_max)
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="grammar")

    async def find(self, schema: bytes, account_id: int, shape: Shape) -> str | NoGrammar:
        """The grammar of `schema` in EBNF, or why it has none.

        Raises: RateLimited, when the account brings too many new ones; ServiceUnavailable.
        """
        key = (shape, schema)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        pending = self._pending.get(key)
        if pending is None:
            self._admit(account_id)
            work = lambda: self._compile(schema, shape)  # noqa: E731  (a thread's work, named)
            pending = self._begin(key, work)
        return await asyncio.shield(pending)

    def close(self) -> None:
        """Ends the threads; what they are at ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _admit(self, account_id: int) -> None:
        if len(self._pending) >= self._settings.waiting_max:
            message = "Too many new schemas are being compiled. Try again in a moment."
            raise ServiceUnavailable(message, retry_after_ms=_OVERLOAD_MS)
        wait_ns = self._rate.take(account_id, monotonic_ns())
        if wait_ns:
            most = self._settings.new_schemas_per_minute_max
            message = (
                f"Too many new schemas: at most {most} a minute. Send known ones again freely."
            )
            raise RateLimited(message, retry_after_ms=-(-wait_ns // 1_000_000))

    def _begin(
        self, key: _Key, work: Callable[[], str | NoGrammar]
    ) -> "asyncio.Future[str | NoGrammar]":
        pending = asyncio.get_running_loop().run_in_executor(self._threads, work)
        self._pending[key] = pending
        pending.add_done_callback(lambda done: self._keep(key, done))
        return pending

    def _compile(self, schema: bytes, shape: Shape) -> str | NoGrammar:
        options = GrammarOptions(closed_objects=shape.closed, deterministic=shape.deterministic)
        made = grammar.compile(schema, options)
        if isinstance(made, SchemaRefusal):
            return NoGrammar(
                pointer=made.pointer, keyword=made.keyword, reason=made.reason, hint=made.hint
            )
        return self._bounded(made)

    def _bounded(self, made: CompiledSchema) -> str | NoGrammar:
        most = self._settings.text_bytes_max
        if len(made.text) <= most:
            return made.text
        reason = f"its grammar is larger than {most} bytes"
        return NoGrammar(pointer="", keyword="", reason=reason, hint="send a simpler schema")

    def _keep(self, key: _Key, done: "asyncio.Future[str | NoGrammar]") -> None:
        del self._pending[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._kept[key] = done.result()
        self.kept_bytes += _size(key, done.result())
        while self.kept_bytes > self._settings.cache_bytes_max:
            oldest, value = self._kept.popitem(last=False)
            self.kept_bytes -= _size(oldest, value)


def _size(key: _Key, value: str | NoGrammar) -> int:
    return _ENTRY_BYTES + len(key[1]) + (len(value) if isinstance(value, str) else 0)
