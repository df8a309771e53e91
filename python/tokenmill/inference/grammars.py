"""A worker's grammars: compiled once, kept, and made away from the event loop.

A schema that is known costs a look-up. A new one is checked and compiled by a few threads that do
not hold the interpreter and that yield the processor to all others; how many wait for them, and
how many new schemas an account may bring, is bounded.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from tokenmill import grammar
from tokenmill.clock import monotonic_ns
from tokenmill.errors import RateLimited, ServiceUnavailable
from tokenmill.grammar import GrammarOptions, SchemaRefusal
from tokenmill.grammar.rules import NewSchemaRate
from tokenmill.inference.kept import Kept
from tokenmill.protocol.schemas import SentSchema, check_schemas
from tokenmill.settings import BodyBounds, GrammarSettings

_ENTRY_BYTES = 256
"""What a kept grammar costs beside its texts, roughly."""
_OVERLOAD_MS = 1_000
_INLINE_BYTES_MAX = 8 * 1024
"""Schemas that are checked at once: it takes less than going to a thread and back."""
_CHECKED_SHARE = 8
"""Schemas known to be within bounds may take this part of what grammars may."""
_NICENESS = 10
"""Of the threads: a worker that has both to do answers first and compiles then."""


class Shape(NamedTuple):
    """Which grammar of a schema is wanted."""

    closed: bool  # objects that declare properties refuse undeclared ones
    deterministic: bool = False  # for llguidance, which the embedded engine decodes by


_Key = tuple[Shape, bytes]
Result = TypeVar("Result")


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


class Grammars:
    """The grammars of one worker. Used on its event loop only."""

    def __init__(self, settings: GrammarSettings, bounds: BodyBounds) -> None:
        self._settings = settings
        self._bounds = bounds
        self._kept: Kept[_Key, str | NoGrammar] = Kept(settings.cache_bytes_max, _size)
        checked_bytes_max = settings.cache_bytes_max // _CHECKED_SHARE
        self._checked: Kept[bytes, bool] = Kept(checked_bytes_max, _checked_size)
        self._pending: dict[_Key, asyncio.Future[str | NoGrammar]] = {}
        self._waiting = 0
        self._rate = NewSchemaRate(settings.new_schemas_per_minute_max)
        self._threads = ThreadPoolExecutor(
            settings.threads, thread_name_prefix="grammar", initializer=_yield_to_others
        )

    @property
    def kept_bytes(self) -> int:
        """What the grammars take that are kept."""
        return self._kept.bytes

    async def check(self, sent: Sequence[SentSchema]) -> None:
        """Whether all schemas are within bounds; those that were are known.

        Raises: InvalidRequest; ServiceUnavailable.
        """
        fresh = [each for each in sent if self._checked.find(each.data) is None]
        if sum(len(each.data) for each in fresh) <= _INLINE_BYTES_MAX:
            check_schemas(fresh, self._bounds)
        else:
            self._make_room()
            await self._away(lambda: check_schemas(fresh, self._bounds))
        for each in fresh:
            self._checked.keep(each.data, True)

    def is_known(self, schema: bytes, shape: Shape) -> bool:
        """Whether somebody asked for that grammar before. `schema`: canonical."""
        key = (shape, schema)
        return key in self._pending or self._kept.find(key) is not None

    async def find(self, schema: bytes, account_id: int, shape: Shape) -> str | NoGrammar:
        """The grammar of `schema`, which is canonical, in EBNF, or why it has none.

        Raises: RateLimited, when the account brings too many new ones; ServiceUnavailable.
        """
        key = (shape, schema)
        kept = self._kept.find(key)
        if kept is not None:
            return kept
        pending = self._pending.get(key)
        if pending is None:
            self._admit(account_id)
            pending = self._away(lambda: self._compile(schema, shape))
            self._pending[key] = pending
            pending.add_done_callback(lambda done: self._keep(key, done))
        return await asyncio.shield(pending)

    def close(self) -> None:
        """Ends the threads; what they are at ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _make_room(self) -> None:
        if self._waiting >= self._settings.waiting_max:
            message = "Too many new schemas are being compiled. Try again in a moment."
            raise ServiceUnavailable(message, retry_after_ms=_OVERLOAD_MS)

    def _admit(self, account_id: int) -> None:
        self._make_room()
        wait_ns = self._rate.take(account_id, monotonic_ns())
        if wait_ns:
            most = self._settings.new_schemas_per_minute_max
            message = (
                f"Too many new schemas: at most {most} a minute. Send known ones again freely."
            )
            raise RateLimited(message, retry_after_ms=-(-wait_ns // 1_000_000))

    def _away(self, work: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Has a thread do the work."""
        self._waiting += 1
        done = asyncio.get_running_loop().run_in_executor(self._threads, work)
        done.add_done_callback(self._returned)
        return done

    def _returned(self, _: object) -> None:
        self._waiting -= 1

    def _compile(self, schema: bytes, shape: Shape) -> str | NoGrammar:
        settings = self._settings
        options = GrammarOptions(
            closed_objects=shape.closed,
            deterministic=shape.deterministic,
            alternatives_max=settings.alternatives_max,
            states_max=settings.states_max,
            steps_max=settings.steps_max,
            rules_max=settings.rules_max,
            text_bytes_max=settings.text_bytes_max,
        )
        made = grammar.compile(schema, options)
        if isinstance(made, SchemaRefusal):
            return NoGrammar(
                pointer=made.pointer, keyword=made.keyword, reason=made.reason, hint=made.hint
            )
        return made.text

    def _keep(self, key: _Key, done: "asyncio.Future[str | NoGrammar]") -> None:
        del self._pending[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._kept.keep(key, done.result())


def _yield_to_others() -> None:
    """What a thread of this module does first."""
    if sys.platform == "linux":  # where a thread has a niceness of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def canonical(schema: bytes) -> bytes:
    """The same for schemas that differ in blanks alone, by which they are known. The order of names
    is kept, by which a grammar writes them."""
    return msgspec.json.format(schema, indent=-1)


def _size(key: _Key, value: str | NoGrammar) -> int:
    return _ENTRY_BYTES + len(key[1]) + (len(value) if isinstance(value, str) else 0)


def _checked_size(schema: bytes, _: bool) -> int:
    return _ENTRY_BYTES + len(schema)
