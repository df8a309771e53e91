"""One HTTP request and the ways to answer it: ids, clocks, and the headers of every answer.

Endpoints raise ApiError, or answer through it; what follows from the request's headers for any
answer (request id, CORS, whether the connection may live on) is decided here, once.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl

from tokenmill.clock import monotonic_ns, wall_s
from tokenmill.errors import ApiError, InvalidRequest
from tokenmill.ids import request_id as fresh_id
from tokenmill.inference.trace_context import TraceContext, read_context
from tokenmill.protocol.errors import envelope, error_headers

if TYPE_CHECKING:  # imports OpenTelemetry, which is an extra
    from tokenmill.inference.tracing import RequestSpan

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class LimitTeller(Protocol):
    """Who knows what is left of an account's limits: the hot segment, or a purse's answer."""

    def limit_headers(self, account_id: int, wall_s: int, /) -> Headers: ...


JSON_TYPE = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")
_NO_STORE = (b"cache-control", b"no-store")
_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_SINGLE = frozenset(
    (
        b"authorization",
        b"content-type",
        b"content-encoding",
        b"host",
        b"transfer-encoding",
        b"x-request-id",
    )
)


class ClientGone(Exception):
    """The client closed its connection: there is nobody to answer."""


class Exchange:
    """A request on its way to its answer. Times are nanoseconds of one clock."""

    __slots__ = (
        "account_id",
        "began_ns",
        "body_ns",
        "decoded_ns",
        "engine_id",
        "extra_headers",
        "grammar_ns",
        "headers",
        "holds_shared",
        "is_cacheable",
        "is_head",
        "key_ns",
        "limited_by",
        "must_close",
        "receive",
        "request_id",
        "routed_ns",
        "scope",
        "send",
        "span",
        "status",
        "upstream_ns",
        "woken_ns",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.began_ns = monotonic_ns()
        self.key_ns = self.body_ns = self.decoded_ns = self.routed_ns = 0
        self.upstream_ns = self.woken_ns = 0
        self.grammar_ns = 0  # how long the grammar of the answer took; 0: it has none
        self.scope = scope
        self.receive = receive
        self.send = send
        self.status = 0  # of the answer that was begun; 0: none yet
        self.is_head = scope["method"] == "HEAD"
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.engine_id = fresh_id()  # unique, whatever the client calls its request
        given = self.headers.get(b"x-request-id")
        is_sane = given is not None and _SANE_ID.fullmatch(given)
        self.request_id = given if is_sane and given else self.engine_id.encode()
        # With Transfer-Encoding the server drops a Content-Length, and a proxy in front may have
        # gone by that one: what follows on the connection cannot be trusted (RFC 9112, 6.3).
        self.must_close = b"transfer-encoding" in self.headers
        self.extra_headers: Headers = []
        self.limited_by: LimitTeller | None = None  # of the limits that `account_id` is under
        self.account_id = 0
        self.span: RequestSpan | None = None  # where requests are traced
        self.holds_shared = False  # the account's purse holds something for this request
        self.is_cacheable = False  # the answer says itself how long it may be kept

    def check_headers(self) -> None:
        """Raises: InvalidRequest, for a missing Host, a header that may come once only, or a body
        whose end another reader could see elsewhere. Its connection closes."""
        coding = self.headers.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            raise InvalidRequest("The only Transfer-Encoding of a request can be chunked.")
        # The server in front puts an empty Host where there is none.
        if not self.headers.get(b"host") and self.scope["http_version"] == "1.1":
            self.must_close = True
            raise InvalidRequest("The Host header is missing.")
        if len(self.headers) != len(self.scope["headers"]):
            seen: set[bytes] = set()
            for name, _ in self.scope["headers"]:
                if name in seen and name in _SINGLE:
                    self.must_close = True
                    raise InvalidRequest(f"The header {name.decode('latin-1')} came twice.")
                seen.add(name)

    def client_trace(self) -> TraceContext | None:
        """The trace that the client's request is a part of, if it says so and well."""
        parent = self.headers.get(b"traceparent")
        if parent is None:
            return None
        states = [value for name, value in self.scope["headers"] if name == b"tracestate"]
        return read_context(parent, states)

    def outgoing_trace(self) -> tuple[str, str | None] | None:
        """What the engine is told: our span, or what the client said."""
        if self.span is not None:
            return self.span.outgoing
        context = self.client_trace()
        return None if context is None else context.outgoing

    def query(self, name: str) -> str | None:
        """The first value of a query parameter."""
        text = self.scope["query_string"]
        if name.encode() not in text:
            return None
        pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True)
        return next((value for key, value in pairs if key == name), None)

    def common_headers(self) -> Headers:
        """The headers of every answer."""
        common = [(b"x-request-id", self.request_id), *self.extra_headers]
        if self.limited_by is not None:
            common += self.limited_by.limit_headers(self.account_id, wall_s())
        if not self.is_cacheable:
            common.append(_NO_STORE)
        if self.must_close:
            common.append(CLOSE)
        common.append((b"server-timing", self._timing()))
        return common

    async def start(self, status: int, headers: Headers) -> None:
        """Begins the answer."""
        self.status = status
        headers += self.common_headers()
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def part(self, body: bytes, *, more: bool) -> None:
        """Sends a piece of the answer's body."""
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """The whole answer. HEAD gets its headers alone."""
        headers.append((b"content-length", b"%d" % len(body)))
        await self.start(status, headers)
        await self.part(b"" if self.is_head else body, more=False)

    async def refuse(self, error: ApiError) -> None:
        """Answers with `error`. Only while no answer has begun."""
        await self.answer(error.status, error_headers(error), envelope(error))

    def _timing(self) -> bytes:
        """Server-Timing, in milliseconds; what was not done took no time. `gateway` is our own
        work: no waiting for anyone."""
        began, key = self.began_ns, self.key_ns or self.began_ns
        body = self.body_ns or key
        decoded = self.decoded_ns or body
        routed = self.routed_ns or decoded
        own = key - began + routed - body - self.grammar_ns
        own += monotonic_ns() - (self.woken_ns or routed)
        # A schema may be refused before a route is known.
        route = routed - decoded - self.grammar_ns if self.routed_ns else 0
        timing = (
            b"key;dur=%.3f, decode;dur=%.3f, route;dur=%.3f, upstream;dur=%.3f, gateway;dur=%.3f"
            % (
                (key - began) / 1e6,
                (decoded - body) / 1e6,
                route / 1e6,
                self.upstream_ns / 1e6,
                own / 1e6,
            )
        )
        if self.grammar_ns:
            timing += b", grammar;dur=%.3f" % (self.grammar_ns / 1e6)
        return timing
