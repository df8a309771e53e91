"""The contract of the native module: units, errors, what blocks. Nothing blocks on the network.

Bytes, ints and small enums cross, never dicts. All methods hold the GIL for microseconds unless
they say otherwise. Times are CLOCK_MONOTONIC milliseconds unless the name says wall time.
"""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Generator, Iterator, Sequence
from contextvars import Context
from typing import Any, ClassVar, Final, final, overload

__all__ = [
    "CELL_BYTES",
    "CELL_FORMAT",
    "COUNTERS",
    "ENGINE_COUNTERS",
    "HISTOGRAMS",
    "VERSION",
    "AccountView",
    "AnswerKind",
    "CompiledSchema",
    "End",
    "EndReason",
    "EngineHealth",
    "ForwardLimits",
    "Forwarder",
    "GrammarOptions",
    "Head",
    "KeyEntry",
    "KeyRefusal",
    "Lack",
    "OtherLayout",
    "Payer",
    "RefusalKind",
    "Refused",
    "Relay",
    "RoutingPolicy",
    "SchemaRefusal",
    "Segment",
    "Tariff",
    "Usage",
    "UsageShape",
    "Whole",
    "WorkerState",
    "check_schema",
    "choice_text",
    "client_grammar",
    "compile_schema",
    "explain_schema",
    "holds_nul",
    "is_costly_pattern",
    "lark_text",
    "lift_texts",
    "limit_headers",
    "not_utf8_at",
    "prepare_grammars",
    "rename_rules",
    "sample_grammar",
]

VERSION: Final[str]

CELL_BYTES: Final[int]
"""Bytes of a record of `Segment.settled_cells`."""

CELL_FORMAT: Final[str]
"""Its `struct` format. Eight bytes each, signed: ticket, reference (credits), account, key, model
number, amount in nanos (what the balance changes by), reserved nanos, nanos a token of the prompt,
of the cached prompt, of the completion, wall ms of start and of end, ms to the first byte (-1: none
came), ms to the end, tokens estimated. Four each: tokens of the prompt, cached, made. Two each:
status, engine slot (65535: none). One each: kind (1 debit, 2 credit), class (0 real-time, 1 batch
in an hour, 2 in a day), endpoint (0 chat, 1 completions, 2 embeddings), flags (1 streamed,
2 metered by the engine, 4 prompt estimated from its bytes, 8 its worker died). Then twelve bytes of
the request id: `req_` and their hexadecimal."""

COUNTERS: Final[tuple[str, ...]]
"""Names of the counters of the hot segment, by index: what `Segment.count` takes and `totals`
gives. Each is a Prometheus sample:
`tokenmill_requests_total{endpoint="chat_completions",status="2xx"}`."""

ENGINE_COUNTERS: Final[tuple[str, ...]]
"""Names of an engine's counters, by index: what `Segment.engine_totals` gives."""

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
class EngineHealth:
    """How an engine fares, from the outcomes of requests that all workers sent to it."""

    cause: Final[str]  # "refusing", "failing" or "slow": it is left out or on trial; "": it is well
    out_ms: Final[int]  # until its trial; 0: it is on trial, or it is well
    first_byte_us: Final[int]  # from request to the first byte of a stream, a moving mean; 0: none
    standing: Final[str]  # "well", "warming" (it came back: a growing share), "trial" or "out"

@final
class RefusalKind:
    """Why a request is not admitted."""

    NO_ACCOUNT: ClassVar[RefusalKind]
    DISABLED: ClassVar[RefusalKind]
    REQUESTS: ClassVar[RefusalKind]  # requests a minute; come back after retry_after_ms
    TOKENS: ClassVar[RefusalKind]  # tokens a minute; come back after retry_after_ms
    NEVER_FITS: ClassVar[RefusalKind]  # more tokens than the account may use in a minute
    CONCURRENCY: ClassVar[RefusalKind]
    BALANCE: ClassVar[RefusalKind]  # missing_nanos are
    NO_CELL: ClassVar[RefusalKind]  # the ledger is behind, or the house is full
    OVERLOADED: ClassVar[RefusalKind]  # no engine can serve it in time
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __int__(self) -> int: ...

@final
class Refused:
    """A request or credit that is not admitted: nothing was taken."""

    kind: Final[RefusalKind]
    retry_after_ms: Final[int]
    """Then, and no millisecond earlier, there is room, unless others take it; 0: no time helps."""
    missing_nanos: Final[int]

    def __new__(cls, kind: RefusalKind, retry_after_ms: int, missing_nanos: int) -> Refused: ...

@final
class Tariff:
    """What a route's tokens cost, in nanos each, and what its cells say of it (see CELL_FORMAT)."""

    def __new__(
        cls,
        *,
        model: int,
        service_class: int,
        endpoint: int,
        prompt_nanos: int,
        cached_nanos: int,
        completion_nanos: int,
    ) -> Tariff: ...

@final
class Payer:
    """Who pays for one request: the account of a key.

    Held are `prompt_tokens_max` and `completion_tokens_max` at the tariff's prices. A call for one
    whole answer that the client abandons is billed `prompt_tokens_min`. `enforce` off: limits and
    balance refuse nothing, and `Relay.overlooked` tells what they would have."""

    def __new__(
        cls,
        entry: KeyEntry,
        tariff: Tariff,
        *,
        prompt_tokens_max: int,
        completion_tokens_max: int,
        tokens_estimate: int,
        prompt_tokens_min: int,
        enforce: bool,
    ) -> Payer: ...
    reserve_nanos: Final[int]
    tokens_estimate: Final[int]

@final
class AccountView:
    """An account at one moment. Limits of 0 are none; what remains of those is 0 too."""

    available_nanos: Final[int]  # neither spent nor held
    in_flight: Final[int]
    is_enabled: Final[bool]
    concurrency_max: Final[int]
    weight: Final[int]
    requests_per_min: Final[int]
    requests_remaining: Final[int]
    requests_reset_ms: Final[int]  # until the bucket is full again
    tokens_per_min: Final[int]
    tokens_remaining: Final[int]
    tokens_reset_ms: Final[int]

class OtherLayout(ValueError):
    """A hot segment of this boot that a tokenmill of another version made: its cells may not be in
    the ledger, and this version cannot read them."""

@final
class Segment:
    """The hot segment: one file-backed shared mapping, atomics only. Unmapped when dropped."""

    @staticmethod
    def create(
        path: str,
        *,
        keys_max: int,
        workers_max: int,
        engines_max: int,
        accounts_max: int = 1_024,
        cells_max: int = 1_024,
        in_use: bool = False,
    ) -> Segment:
        """The segment at `path`: attached if one of this layout, size and boot is there, else made
        anew (fully allocated on disk, then renamed into place). Its keys and accounts are not ready
        either way. Slots, counters, generation, balances and cells of an attached one stay: whoever
        creates clears its slots. One of other sizes is kept as `PATH.previous`: its cells may not
        be in the ledger yet.

        `in_use`: workers of the house before serve from it. All that it says goes on being true and
        nothing is made: one that cannot be attached is an error as in `attach`, and so are other
        sizes.

        Raises: OSError (disk full names the bytes needed), ValueError (sizes).
        """
    @staticmethod
    def attach(path: str) -> Segment:
        """An existing segment. Raises: OSError; OtherLayout; ValueError naming what else is off
        (magic, boot id, truncated)."""

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

    # Prices that accounts have of their own: a file too, and its generation.
    @property
    def prices_generation(self) -> int: ...
    def publish_prices(self) -> None:
        """A newer file lies there: the next request of any worker goes by it."""

    # Workers: slot numbers 0..workers_max-1, given by the supervisor. No such slot: IndexError.
    workers_max: Final[int]
    engines_max: Final[int]
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
    def begin_engine(self, engine: int, has_returned: bool) -> None:
        """Forgets how the engine fared. `has_returned`: it was away or is new in a running house,
        so it gets its share of requests step by step, and none for what its cache once held."""
    def note_engine_metrics(
        self, engine: int, *, running: int, waiting: int, cache_permille: int
    ) -> None:
        """What the engine's own metrics say: believed for five seconds. Requests of this house are
        taken off."""
    def engine_health(self, engine: int) -> EngineHealth: ...
    def note_engine_others(self, engine: int, requests: int) -> None:
        """Requests that other houses have with the engine: believed for two seconds, part of its
        load."""
    def engine_totals(self, engine: int) -> list[int]:
        """By index of ENGINE_COUNTERS, over all workers; buckets are cumulative. Times: ms."""
    def clear_engine_totals(self, engine: int) -> None:
        """They begin at nothing: another engine has the slot."""
    def worker_in_flight(self, worker: int) -> int: ...

    # Requests that wait for a place at an engine: none of them is in flight with one.
    def worker_waiting(self, worker: int) -> int: ...
    def waiting(self) -> int: ...

    # Counters: one row a worker slot, summed over rows when read; rows outlive their worker.
    def count(self, worker: int, counter: int, amount: int = 1) -> None: ...
    def observe(self, worker: int, histogram: int, value_ms: int) -> None:
        """Counts into a bucket, the sum and the count of `HISTOGRAMS[histogram]`."""
    def totals(self) -> list[int]:
        """By index of COUNTERS; buckets of histograms are cumulative, as Prometheus wants them."""

    # Accounts: balances in whole nanos (billionths of a dollar), at most 288e15 either way. One
    # writer (control). How money and deaths go together: rust/core/src/wallet/mod.rs.
    incarnation: Final[int]  # 63 random bits of this file: with a ticket, like no other ever
    accounts_max: Final[int]  # account numbers are below it
    cells_max: Final[int]
    @property
    def accounts_ready(self) -> bool:
        """Whether control has loaded the accounts since the house was started."""
    def set_accounts_ready(self) -> None: ...
    def put_account(
        self,
        account_id: int,
        *,
        requests_per_min: int,
        tokens_per_min: int,
        concurrency_max: int,
        weight: int,
        opening_nanos: int,
        enabled: bool = True,
    ) -> bool:
        """Makes the account, or changes what it may do (0: no limit). Whether it is new in this
        segment: only then its balance becomes `opening_nanos`, the ledger's balance. Raises:
        ValueError (amount), MemoryError (no room for the number: raise `segment.accounts_max`)."""
    def put_accounts(self, packed: bytes) -> int:
        """`put_account` for many: records of `struct` format `<QqIIIHB1x` (account, opening nanos,
        requests/min, tokens/min, concurrency, weight, enabled). Returns how many; leaves the GIL.
        Raises: as put_account."""
    def reset_balance(self, account_id: int, nanos: int) -> bool:
        """Sets the balance; false, and nothing done, while anything of the account is under way or
        not freed yet. Raises: ValueError."""
    def account(self, account_id: int) -> AccountView | None: ...
    def audit(self, account_id: int) -> tuple[int, int, int] | None:
        """(available, held, unposted) at one instant: available + held is the ledger's balance +
        unposted, which is what cells not freed yet have changed it by. None: no such account, or it
        never stood still. Not while cells are freed or credits posted. Leaves the GIL."""

    # Cells: a request or credit until the ledger has it.
    def credit(self, account_id: int, nanos: int, *, reference: int, wall_ms: int) -> int | Refused:
        """Adds to a balance (below 0: takes from it, if it covers that); the ticket. One process.
        Raises: ValueError."""
    def open_credits(self) -> list[int]:
        """References of all credits that are applied and not freed. After `rescue_control`, one
        that is neither here nor in the ledger never happened."""
    def settled_cells(self, max: int) -> bytes:  # noqa: A002
        """At most `max` records (CELL_FORMAT). They stay: the next call gives them again, with the
        same tickets, until they are freed."""
    def held_cells(self, max: int) -> bytes:  # noqa: A002
        """At most `max` records of requests that hold money, as they are now: no amount yet."""
    def free_cells(self, packed: bytes) -> int:
        """Frees the cells of records that are in the ledger; how many. Raises: ValueError."""
    def open_cells(self) -> int: ...
    def rescue(self, worker: int) -> int:
        """Ends all that a dead worker had under way, billed on the last usage received; how many.
        Only for whoever holds the lock of the worker's slot."""
    def rescue_control(self) -> int:
        """The same for credits of a control process that died; for its successor, at its start."""

    # Limits.
    def take_request(self, account_id: int) -> Refused | None:
        """Takes the permit for one request a minute. Exact over any number of processes."""
    def limit_headers(self, account_id: int, wall_s: int) -> list[tuple[bytes, bytes]]:
        """`x-ratelimit-*` for what is limited of the account; the reset of the first set is seconds
        since the epoch, those of the others are durations."""

@final
class AnswerKind:
    """What the relay makes of the engine's answer."""

    STREAM: ClassVar[AnswerKind]  # SSE: framed, metered, stripped
    WHOLE: ClassVar[AnswerKind]  # one JSON body: collected, metered
    PLAIN: ClassVar[AnswerKind]  # anything: status, headers and body passed on (control's routes)
    def __eq__(self, other: object, /) -> bool: ...
    def __int__(self) -> int: ...

@final
class RoutingPolicy:
    """How an engine of a pool is chosen."""

    POWER_OF_TWO: ClassVar[RoutingPolicy]  # the less loaded of two drawn by lot
    PREFIX: ClassVar[RoutingPolicy]  # one that holds the longest beginning of the prompt
    SESSION: ClassVar[RoutingPolicy]  # the one that the session had before
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
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
    OVERLOADED: ClassVar[EndReason]  # it waited for a place at an engine, and none came in time
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
class Lack:
    """No engine of the pool holds the adapter that the request is for. It waits, and holds what it
    holds, until `Relay.go_on` or `Relay.give_up`; a stream's keep-alive comments come meanwhile."""

    engine: Final[int]  # slot of the one that was asked and did not answer for it; -1: none was

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
    retry_after_ms: Final[int]
    """When there may be room (OVERLOADED); else 0."""

@final
class ForwardLimits:
    """Bounds of one forwarder; every value is a positive int, `waiting_max` may be 0."""

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
        waiting_max: int = 256,
        wait_ms: int = 5_000,
        hedge: bool = False,
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
        policies: Sequence[RoutingPolicy] = ...,
        *,
        places: Sequence[int] = ...,
    ) -> None:
        """Replaces the fleet. `engines`: (slot in the segment, base URL `http(s)://host:port` or
        `unix:/path`, bearer token or None); `pools`: engine slots by pool number; `policies`: how
        each pool chooses, POWER_OF_TWO where none is given; `places`: how many requests each of
        `engines` takes at once, over all workers (0, or missing: any). Running relays keep the
        engine they have. Raises: ValueError naming the URL."""
    def wake_fd(self) -> int:
        """The descriptor that is readable when relays are ready: `add_reader(fd, dispatch)`."""
    def dispatch(self) -> None:
        """Resolves the futures of all ready relays, each with None."""
    @overload
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
        payer: None = None,
        account_id: None = None,
        session: str | None = None,
        trace: tuple[str, str | None] | None = None,
        is_loadable: bool = False,
    ) -> Relay:
        """POSTs `body` (JSON) to `target` of an engine that the pool's policy chooses; another one
        is tried while no byte of an answer has come back and a tenth of all requests was not yet
        tried again. `session`: what a pool with that policy goes by. `model`: what the
        answer is to call the model, None to leave it. `calls`: tools whose calls are read out of
        the text of a chat's choices, and how many of a choice are kept. `trace`: what the engine
        gets as traceparent and tracestate. `is_loadable`: it is for an adapter that can be loaded
        where nobody holds it; then it may lack one, at most twice, and the second time out of the
        tenth for retries. Never raises for the network: that is an event.

        Raises: ValueError (`target` is no path, `request_id` or `trace` no header value),
        RuntimeError (closed, or after a fork)."""
    @overload
    def start(
        self,
        pool: int,
        target: str,
        body: bytes,
        *,
        kind: AnswerKind,
        request_id: str,
        payer: None = None,
        account_id: int,
    ) -> Relay | Refused:
        """The same for a request of an account that nobody pays for. Where all places are taken it
        waits, fairly between accounts, or is refused (OVERLOADED)."""
    @overload
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
        payer: Payer,
        account_id: None = None,
        session: str | None = None,
        trace: tuple[str, str | None] | None = None,
        is_loadable: bool = False,
    ) -> Relay | Refused:
        """The same for a request that somebody pays for: it is admitted first (a place at an
        engine in time, tokens a minute, concurrency, balance), or refused and nothing happened.
        Where all places are taken it waits, fairly between accounts; then the first event comes
        late, or is the end OVERLOADED. What it holds is settled on the last
        usage received before its end is seen, whatever end that is; dropping the relay settles."""
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

    def take(self) -> Head | Whole | bytes | Lack | End | None:
        """The next event, or None: nothing yet. `bytes` is every whole frame that is ready, joined
        (PLAIN: the body bytes that are ready). Taking makes room: the engine is read on."""
    def __await__(self) -> Generator[Any]:
        """Returns once there may be an event to take; one task at a time. It goes on within
        `Forwarder.dispatch`."""
    def wake(self) -> None:
        """A task that waits goes on, though there is no event."""
    # For asyncio's tasks.
    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...
    def get_loop(self) -> AbstractEventLoop: ...
    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: Context | None = None
    ) -> None: ...
    def cancel(self, msg: object = None) -> bool: ...
    def close(self) -> None:
        """The client went: the upstream connection is closed at once. Idempotent; no End comes."""
    def go_on(self, pool: int) -> None:
        """After a Lack: engines of this pool, of the fleet that was set last, hold the adapter."""
    def give_up(self) -> None:
        """After a Lack: nobody can load it. The end is NO_ENGINE and nothing is billed."""
    def usage(self) -> Usage:
        """The last usage received so far."""
    @property
    def cost_nanos(self) -> int:
        """What was billed; 0 before the end, and where nobody pays."""
    @property
    def overlooked(self) -> Refused | None:
        """What would have refused it, where nothing is enforced."""
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
        deterministic: bool = False,  # for llguidance: one way to read a string
        schema_bytes_max: int | None = None,  # default 1 MiB
        alternatives_max: int | None = None,  # that are combined, by their names; default 20,000
        states_max: int | None = None,  # of one automaton; default 6,000
        steps_max: int | None = None,  # of 5 to 15 ns, of the whole; default 16 million
        rules_max: int | None = None,  # default 60,000
        text_bytes_max: int | None = None,  # of the grammar; default 512 KiB
    ) -> GrammarOptions: ...

@final
class CompiledSchema:
    """A grammar whose every text validates against its schema."""

    text: Final[str]  # EBNF as xgrammar >= 0.2.1 reads it; `root`; same schema, same text
    annotations: Final[list[tuple[str, str]]]  # JSON pointer, word: what asserts nothing

@final
class SchemaRefusal:
    """Why a schema has no grammar."""

    kind: Final[str]  # invalid, unsupported, unsatisfiable or too_large
    pointer: Final[str]  # JSON pointer of the schema object; empty for the root
    keyword: Final[str]  # the keyword at fault; may be empty
    reason: Final[str]
    hint: Final[str]  # may be empty

def not_utf8_at(body: bytes) -> int | None:
    """The first byte that is not part of UTF-8, if there is one. A megabyte takes some 0.3 ms."""

def holds_nul(body: bytes) -> bool:
    """Whether a string of a JSON text holds `\\u0000`. A megabyte takes some 0.1 ms."""

def lift_texts(body: bytes, bytes_min: int) -> tuple[bytes, list[tuple[int, int] | bytes]] | None:
    """The strings of a JSON body that have at least `bytes_min` bytes, and what is left of it.

    Each is its place in the body, or its bytes where an encoder spells it otherwise; both have
    their quotes. In the rest stands a string of NUL and the number of each. None, where there is
    none, where a string is wrong, and where one holds NUL. `body` is UTF-8. A megabyte takes some
    0.2 ms. Leaves Python (no GIL).
    """

def prepare_grammars() -> None:
    """Makes what all compilations share, once a process: some 10 ms. Leaves Python (no GIL)."""

def compile_schema(schema: bytes, options: GrammarOptions) -> CompiledSchema | SchemaRefusal:
    """The grammar of a JSON Schema. Leaves Python (no GIL); mostly under a millisecond."""

def explain_schema(schema: bytes, options: GrammarOptions, stage: str) -> str | SchemaRefusal:
    """What a stage (references, form, text) makes of a schema; for people. Raises: ValueError."""

def check_schema(schema: bytes, bounds: tuple[int, int, int, int, int]) -> SchemaRefusal | None:
    """What is too much in a schema, or wrong as JSON; None where it may be compiled.

    `bounds`: bytes, schemas inside schemas, objects and arrays, values of an enum, bytes of a
    pattern. `invalid` ones have a `reason` that begins with a verb. Linear. Leaves Python."""

def is_costly_pattern(pattern: str) -> bool:
    """Whether a regular expression's repetitions are more than may be built. Linear."""

def rename_rules(text: str, prefix: str) -> str:
    """A grammar with `prefix` before the name of each rule. Linear. Leaves Python (no GIL)."""

def client_grammar(text: str) -> str | SchemaRefusal:
    """A client's EBNF as an engine gets it, or what is wrong with it or too much. Bounded, a few
    milliseconds at most; leaves Python (no GIL)."""

def lark_text(text: str) -> str:
    """A compiled grammar in llguidance's Lark; its start rule is `start`. Linear. Leaves Python."""

def choice_text(choices: list[str]) -> str:
    """The grammar, in EBNF, of one of these texts. Linear."""

def limit_headers(
    wall_s: int, *, requests: tuple[int, int, int], tokens: tuple[int, int, int]
) -> list[tuple[bytes, bytes]]:
    """As `Segment.limit_headers`. Of each: limit (0: none), what remains, ms to the reset."""

def sample_grammar(text: str, seed: int, count: int, steps_max: int) -> list[str]:
    """Random texts of a grammar, ended after `steps_max` rules; none where it has none. No GIL.
    Raises: ValueError, where it cannot be read."""
