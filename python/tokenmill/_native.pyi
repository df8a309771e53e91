"""The contract of the native module: units, errors, what blocks. Nothing blocks on the network.

Bytes, ints and small enums cross, never dicts. All methods hold the GIL for microseconds unless
they say otherwise. Times are CLOCK_MONOTONIC milliseconds unless the name says wall time.
"""

from asyncio import Future
from collections.abc import Sequence
from typing import Any, ClassVar, Final, final

__all__ = [
    "COUNTERS",
    "HISTOGRAMS",
    "VERSION",
    "AnswerKind",
    "CompiledSchema",
    "End",
    "EndReason",
    "ForwardLimits",
    "Forwarder",
    "GrammarOptions",
    "Head",
    "KeyEntry",
    "KeyRefusal",
    "Relay",
    "SchemaRefusal",
    "Segment",
    "Usage",
    "UsageShape",
    "Whole",
    "WorkerState",
    "compile_schema",
    "explain_schema",
]

VERSION: Final[str]

COUNTERS: Final[tuple[str, ...]]
"""Names of the counters of the hot segment, by index: what `Segment.count` takes and `totals`
gives. Each is a Prometheus sample:
`tokenmill_requests_total{endpoint="chat_completions",status="2xx"}`."""

HISTOGRAMS: Final[tuple[str, ...]]
"""Names of the histograms, by index: what `Segment.observe` takes. Their buckets are in
COUNTERS."""

@final
class KeyRefusal:
    """Why a key opens nothing."""

    MALFORMED: ClassVar[KeyRefusal]  # not `pk_live_` + base62 + CRC32: refused before any look-up
    UNKNOWN: ClassVar[KeyRefusal]
    REVOKED: ClassVar[KeyRefusal]
    EXPIRED: ClassVar[KeyRefusal]
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __int__(self) -> int: ...

@final
class KeyEntry:
    """A live key as the hot segment knows it."""

    key_id: Final[int]
    account_id: Final[int]
    tier: Final[int]  # index into tokenmill.accounts.rules.TIERS
    scopes: Final[int]  # bits of tokenmill.keys.rules.Scope

@final
class WorkerState:
    FREE: ClassVar[WorkerState]
    STARTING: ClassVar[WorkerState]
    SERVING: ClassVar[WorkerState]
    DRAINING: ClassVar[WorkerState]
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __int__(self) -> int: ...

@final
class Segment:
    """The hot segment: one file-backed shared mapping, atomics only. Unmapped when dropped."""

    @staticmethod
    def create(path: str, *, keys_max: int, workers_max: int, engines_max: int) -> Segment:
        """The segment at `path`: attached if one of this layout, size and boot is there, else made
        anew (fully allocated on disk, then renamed into place). Its keys are not ready either way.
        Slots, counters and generation of an attached one stay: whoever creates clears its slots.

        Raises: OSError (disk full names the bytes needed), ValueError (sizes).
        """
    @staticmethod
    def attach(path: str) -> Segment:
        """An existing segment. Raises: OSError; ValueError naming what is off (magic, layout
        version, boot id, truncated)."""

    # Keys. One writer (control), any number of readers.
    def find_key(self, secret: bytes, wall_s: int) -> KeyEntry | KeyRefusal:
        """What the secret opens. Cost: one CRC32, one SHA-256, one probe; constant-time compare."""
    def put_key(
        self,
        digest: bytes,
        *,
        key_id: int,
        account_id: int,
        tier: int,
        scopes: int,
        expires_at_s: int,
    ) -> None:
        """Makes or replaces a key; `expires_at_s` 0 is never. Raises: ValueError (digest is not 32
        bytes), MemoryError (table full: raise `segment.keys_max`)."""
    def put_keys(self, packed: bytes) -> int:
        """`put_key` for many: records of `struct` format `<32sQQQHB5x` (digest, key_id, account_id,
        expires_at_s, scopes, tier). Returns how many; leaves the GIL. Raises: as put_key."""
    def begin_key_load(self) -> None:
        """What is not put from here to `end_key_load` is gone from the database. Readers see all
        keys as before meanwhile."""
    def end_key_load(self) -> int:
        """Revokes every live key that was not put since `begin_key_load`; returns how many."""
    def revoke_key(self, digest: bytes) -> bool:
        """Whether the key was live; refused by every worker from now on."""
    def key_count(self) -> int: ...
    @property
    def keys_ready(self) -> bool:
        """Whether control has loaded the keys from the database since this segment was made."""
    def set_keys_ready(self) -> None: ...

    # Fleet: the snapshot itself is a file beside the segment; this is its generation.
    @property
    def fleet_generation(self) -> int: ...
    def publish_fleet(self, generation: int) -> None: ...

    # Workers: slot numbers 0..workers_max-1, given by the supervisor. No such slot: IndexError.
    @property
    def workers_max(self) -> int: ...
    @property
    def engines_max(self) -> int: ...
    def worker_state(self, worker: int) -> WorkerState: ...
    def set_worker_state(self, worker: int, state: WorkerState) -> None:
        """STARTING and FREE also clear the slot's drain deadline, heartbeat and in-flight row."""
    def beat(self, worker: int) -> None:
        """The worker's event loop is alive: stores now."""
    def heartbeat_ms(self, worker: int) -> int: ...
    def beat_control(self) -> None:
        """Control's event loop is alive: stores now."""
    @property
    def control_heartbeat_ms(self) -> int:
        """When that last was, monotonic milliseconds; maybe an earlier control's. 0: never."""
    def set_drain(self, worker: int, deadline_ms: int) -> None:
        """The worker takes no new requests and ends its streams at `deadline_ms`; 0: not."""
    def drain_deadline_ms(self, worker: int) -> int: ...

    # Engine cells: requests in flight by (worker, engine slot), so that a dead worker's row can go.
    def engine_in_flight(self, engine: int) -> int: ...
    def worker_in_flight(self, worker: int) -> int: ...

    # Counters: one row a worker slot, summed over rows when read; rows outlive their worker.
    def count(self, worker: int, counter: int, amount: int = 1) -> None: ...
    def observe(self, worker: int, histogram: int, value_ms: int) -> None:
        """Counts into a bucket, the sum and the count of `HISTOGRAMS[histogram]`."""
    def totals(self) -> list[int]:
        """By index of COUNTERS; buckets of histograms are cumulative, as Prometheus wants them."""

@final
class AnswerKind:
    """What the relay makes of the engine's answer."""

    STREAM: ClassVar[AnswerKind]  # SSE: framed, metered, stripped
    WHOLE: ClassVar[AnswerKind]  # one JSON body: collected, metered
    PLAIN: ClassVar[AnswerKind]  # anything: status, headers and body passed on (control's routes)
    def __eq__(self, other: object, /) -> bool: ...
    def __int__(self) -> int: ...

@final
class UsageShape:
    """Which usage the client of a stream asked for; the engine is always asked for all of it."""

    NONE: ClassVar[UsageShape]  # strip the usage chunk and every `usage` field
    FINAL: ClassVar[UsageShape]  # keep the usage chunk, `"usage":null` on all others
    CONTINUOUS: ClassVar[UsageShape]  # leave as the engine sends
    def __eq__(self, other: object, /) -> bool: ...
    def __int__(self) -> int: ...

@final
class EndReason:
    COMPLETE: ClassVar[EndReason]
    # before a byte came back (the client can still get a status):
    NO_ENGINE: ClassVar[EndReason]  # the pool is empty
    REFUSED: ClassVar[EndReason]  # no engine of the pool could be connected to
    CONNECT_TIMEOUT: ClassVar[EndReason]
    FIRST_BYTE_TIMEOUT: ClassVar[EndReason]  # no head, or a head and nothing after it
    # any time:
    STALLED: ClassVar[EndReason]  # nothing for stall_ms in mid-answer
    CLOSED: ClassVar[EndReason]  # the engine's connection ended before the answer did
    ABORTED: ClassVar[EndReason]  # finish_reason "abort" that nobody here asked for
    ERROR_EVENT: ClassVar[EndReason]  # an error object inside the stream, or an error status after
    # a keep-alive had promised 200; detail is its JSON
    MALFORMED: ClassVar[EndReason]  # not HTTP, not SSE, not JSON; detail says what
    TOO_LARGE: ClassVar[EndReason]  # an event or answer over its bound
    READER_STALLED: ClassVar[EndReason]  # our client did not read for reader_stall_ms
    DRAINED: ClassVar[EndReason]  # the worker's drain deadline passed
    CANCELLED: ClassVar[EndReason]  # Relay.close()
    def __eq__(self, other: object, /) -> bool: ...
    def __int__(self) -> int: ...

@final
class Head:
    """The engine's answer began. STREAM: sent before the first frames (or keep-alive comment);
    PLAIN: with the headers to pass on (hop-by-hop ones removed)."""

    status: Final[int]
    headers: Final[list[tuple[bytes, bytes]]]
    first_byte_ns: Final[int]
    """From start() to the first byte of the answer's body (PLAIN: of its head); 0 when a
    keep-alive came first."""

@final
class Whole:
    """A complete answer: kind WHOLE, or STREAM when the engine answered with an error status or
    with something that is not an event stream. A successful one is JSON, with the client's model
    name; others are as the engine sent them."""

    status: Final[int]
    body: Final[bytes]
    first_byte_ns: Final[int]

@final
class Usage:
    prompt_tokens: Final[int]
    completion_tokens: Final[int]  # summed over choices
    cached_tokens: Final[int]
    seen: Final[bool]  # whether the engine sent any usage

@final
class End:
    """The last event of every relay but one that gave `Whole`; nothing comes after it."""

    reason: Final[EndReason]
    detail: Final[str]
    sent_tokens: Final[bool]
    """Whether a retry would pay twice: something generated reached the buffer, or (WHOLE) the
    engine had begun a successful answer."""

@final
class ForwardLimits:
    """Bounds of one forwarder; every value is a positive int."""

    def __new__(
        cls,
        *,
        connect_ms: int,
        first_byte_ms: int,
        stall_ms: int,
        comment_ms: int,
        reader_stall_ms: int,
        buffer_bytes_max: int,
        event_bytes_max: int,
        answer_bytes_max: int,
        idle_connections_max: int,
    ) -> ForwardLimits: ...

@final
class Forwarder:
    """A worker's native I/O thread and its connections to engines. One a process; refuses to work
    after a fork (RuntimeError). The thread starts at the first `start`."""

    def __new__(cls, segment: Segment, worker: int, limits: ForwardLimits) -> Forwarder: ...
    def set_fleet(
        self,
        engines: Sequence[tuple[int, str, str | None]],
        pools: Sequence[Sequence[int]],
    ) -> None:
        """Replaces the fleet. `engines`: (slot in the segment, base URL `http(s)://host:port` or
        `unix:/path`, bearer token or None); `pools`: engine slots by pool number. Running relays
        keep the engine they have. Raises: ValueError naming the URL."""
    def wake_fd(self) -> int:
        """The descriptor that is readable when relays are ready: `add_reader(fd, dispatch)`."""
    def dispatch(self) -> None:
        """Resolves the futures of all ready relays, each with None."""
    def start(
        self,
        pool: int,
        target: str,
        body: bytes,
        *,
        kind: AnswerKind,
        request_id: str,
        usage: UsageShape = ...,
        model: str | None = None,
        calls: tuple[Sequence[str], int] | None = None,
    ) -> Relay:
        """POSTs `body` (JSON) to `target` of the pool's least busy engine; another one is tried
        while no byte has come back and the failure proves that nothing was done. `model`: what the
        answer is to call the model, None to leave it. `calls`: tools whose calls are read out of
        the text of a chat's choices, and how many of a choice are kept. Never raises for the
        network: that is an event.

        Raises: ValueError (`target` is no path, `request_id` no header value), RuntimeError
        (closed, or after a fork)."""
    def start_plain(
        self,
        pool: int,
        method: str,
        target: str,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
    ) -> Relay:
        """Any request passed on as it is (kind PLAIN); hop-by-hop headers are dropped both ways,
        and `host` is the engine's. Raises: as `start`, also for a method or header HTTP forbids."""
    def close(self) -> None:
        """Ends all relays (CANCELLED), waits at most a second for the thread, closes the sockets.
        Leaves the GIL while it waits."""

@final
class Relay:
    """One request on its way. Dropping it closes the upstream."""

    def take(self) -> Head | Whole | bytes | End | None:
        """The next event, or None: nothing yet. `bytes` is every whole frame that is ready, joined
        (PLAIN: the body bytes that are ready). Taking makes room: the engine is read on."""
    def notify(self, future: Future[Any]) -> bool:
        """Arms the future for the next event; True when one is there already (the future is then
        left alone). At most one future at a time. A future that is done by then is skipped."""
    def close(self) -> None:
        """The client went: the upstream connection is closed at once. Idempotent; no End comes."""
    def usage(self) -> Usage:
        """The last usage received so far."""
    @property
    def engine(self) -> int:
        """Slot of the engine that answers or was last tried; -1 before one was chosen."""

@final
class GrammarOptions:
    """What a caller of the grammar compiler may choose."""

    def __new__(
        cls,
        *,
        compact: bool = False,  # no blanks at all; else one space may follow `,` and `:`
        closed_objects: bool = False,  # objects that declare properties refuse undeclared ones
        schema_bytes_max: int | None = None,  # default 1 MiB
    ) -> GrammarOptions: ...

@final
class CompiledSchema:
    """A grammar whose every text validates against its schema."""

    text: Final[
        str
    ]  # EBNF as xgrammar >= 0.2.1 reads it; start rule `root`; same schema, same text
    annotations: Final[list[tuple[str, str]]]  # JSON pointer, word: what asserts nothing

@final
class SchemaRefusal:
    """Why a schema has no grammar."""

    kind: Final[str]  # invalid, unsupported, unsatisfiable or too_large
    pointer: Final[str]  # JSON pointer of the schema object; empty for the root
    keyword: Final[str]  # the keyword at fault; may be empty
    reason: Final[str]
    hint: Final[str]  # may be empty

def compile_schema(schema: bytes, options: GrammarOptions) -> CompiledSchema | SchemaRefusal:
    """The grammar of a JSON Schema. Leaves Python (no GIL); mostly under a millisecond."""

def explain_schema(schema: bytes, options: GrammarOptions, stage: str) -> str | SchemaRefusal:
    """What a stage (references, form, text) makes of a schema; for people.

    Raises: ValueError for another stage.
    """
