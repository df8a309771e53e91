"""The worker's ASGI app: inference is answered here, everything else is relayed to control.

`build_app` is called by `gateway/worker.py`. This is the outermost layer: the last place where an
exception can become an answer, and the place where answers are counted and logged.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from tokenmill._native import Forwarder, Segment
from tokenmill.clock import monotonic_ns
from tokenmill.errors import ApiError, Draining, MethodNotAllowed, NotFound, TokenmillError
from tokenmill.gateway.control_relay import relay_to_control
from tokenmill.gateway.cors import Cors
from tokenmill.inference.chat import chat
from tokenmill.inference.completions import completions
from tokenmill.inference.embeddings import embeddings
from tokenmill.inference.exchange import ClientGone, Exchange, Receive, Scope, Send
from tokenmill.inference.health import health, livez
from tokenmill.inference.key_view import key_view
from tokenmill.inference.listing import model, models
from tokenmill.inference.serving import Serving
from tokenmill.inference.shared_limits import tell_shared
from tokenmill.settings import Settings, TracingSettings

if TYPE_CHECKING:
    from tokenmill.inference.tracing import Tracing
    from tokenmill.purses.worker_purses import WorkerPurses

PREFIXES = ("/v1", "/api/v1")
_MODEL_PREFIXES = tuple(f"{prefix}/models/" for prefix in PREFIXES)
_API_PREFIXES = tuple(f"{prefix}/" for prefix in PREFIXES)
_DRAIN_RETRY_MS = 1_000
LAST_SPANS_S = 3.0
"""How long a worker that ends waits for a collector."""

logger = logging.getLogger(__name__)

Handler = Callable[[Exchange, Serving], Awaitable[None]]


class Endpoint(Struct, frozen=True):
    """A route of the data plane: the name it is counted by, its methods, who answers."""

    name: str
    methods: tuple[str, ...]
    handler: Handler
    waits_for_start: bool = True
    is_traced: bool = False


async def _model(exchange: Exchange, serving: Serving) -> None:
    path = exchange.scope["path"]
    prefix = next(each for each in _MODEL_PREFIXES if path.startswith(each))
    await model(exchange, serving, path.removeprefix(prefix))


_READ = ("GET", "HEAD")
_HEALTH = Endpoint("health", _READ, health, waits_for_start=False)
_LIVEZ = Endpoint("health", _READ, livez, waits_for_start=False)
_MODELS = Endpoint("models", _READ, models)
_ONE_MODEL = Endpoint("models", _READ, _model)
_KEY = Endpoint("models", _READ, key_view)
_CONTROL = Endpoint("control", (), relay_to_control, waits_for_start=False)
_UNDER_PREFIX = {
    "/chat/completions": Endpoint("chat_completions", ("POST",), chat, is_traced=True),
    "/completions": Endpoint("completions", ("POST",), completions, is_traced=True),
    "/embeddings": Endpoint("embeddings", ("POST",), embeddings, is_traced=True),
    "/models": _MODELS,
    "/key": _KEY,
    "/health": _HEALTH,
    "/livez": _LIVEZ,
}
_ROUTES = {prefix + path: each for prefix in PREFIXES for path, each in _UNDER_PREFIX.items()} | {
    "/health": _HEALTH,
    "/livez": _LIVEZ,
}


class App:
    """One worker's app. Not reentrant across event loops; holds no state of any request."""

    def __init__(self, serving: Serving, cors: Cors, tracing: "Tracing | None" = None) -> None:
        """`tracing`: where requests have spans."""
        self._serving = serving
        self._tracing = tracing
        self._cors = cors
        self._is_leaving = False
        self._refuses = False

    def lame_duck(self, *, refuse: bool) -> None:
        """This worker is about to end: every answer closes its connection from now on.

        `refuse`: nobody takes over (shutdown), so new requests get 503 `draining`; otherwise (a
        newer worker has the socket) requests on connections that live on are still served.
        """
        self._is_leaving = True
        self._refuses = refuse

    def refresh(self) -> None:
        """Takes over a newer fleet though no request asks for it: running streams learn by it that
        their engine has left."""
        self._serving.fleet_index()

    async def close(self) -> None:
        """Nothing is open to other machines afterwards."""
        if self._serving.purses is not None:
            await self._serving.purses.close()
        if self._tracing is not None:
            with contextlib.suppress(TimeoutError):
                closing = asyncio.to_thread(self._tracing.close)
                await asyncio.wait_for(closing, LAST_SPANS_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if not self._serving.is_attached:
            self._serving.attach()
        exchange = Exchange(scope, receive, send)
        exchange.must_close = exchange.must_close or self._is_leaving
        endpoint = find_endpoint(scope["path"])
        if self._tracing is not None and endpoint is not None and endpoint.is_traced:
            exchange.span = self._tracing.begin(
                endpoint.name, scope["path"], exchange.engine_id, exchange.client_trace()
            )
        try:
            await self._answer(exchange, endpoint)
        except ApiError as error:
            if exchange.span is not None:
                exchange.span.failed(error.code)
            await self._fail(exchange, error)
        except ClientGone:
            self._serving.counters.client_went()
            exchange.status = exchange.status or 499
        except Exception:
            logger.exception("a request failed", extra=_log_fields(exchange))
            await self._fail(exchange, TokenmillError())
        self._account(exchange, endpoint)

    async def _answer(self, exchange: Exchange, endpoint: Endpoint | None) -> None:
        if self._cors.is_on:
            exchange.extra_headers += self._cors.headers(exchange)
        exchange.check_headers()
        if endpoint is None:
            raise NotFound
        method = exchange.scope["method"]
        if endpoint is not _CONTROL:
            if method == "OPTIONS":
                await _answer_options(exchange, endpoint, self._cors)
                return
            if method not in endpoint.methods:
                raise _wrong_method(endpoint)
        if self._refuses and endpoint is not _LIVEZ:
            raise Draining(retry_after_ms=_DRAIN_RETRY_MS)
        if endpoint.waits_for_start and not self._serving.is_ready():
            await self._serving.wait_until_ready()
        await endpoint.handler(exchange, self._serving)

    async def _fail(self, exchange: Exchange, error: ApiError) -> None:
        """Answers with `error`. An answer that was begun is cut instead: it must not look whole."""
        if exchange.status:
            return  # the server cuts an answer that its app leaves unfinished
        # A 503 is a state that control has logged once; clients that wait for its end ask often.
        if error.status >= 500 and error.status != 503:
            fields = _log_fields(exchange) | {"code": error.code}
            logger.warning(error.message, extra=fields)
        if error.status < 500:
            await tell_shared(exchange, self._serving)
        await exchange.refuse(error)

    def _account(self, exchange: Exchange, endpoint: Endpoint | None) -> None:
        if exchange.span is not None:
            exchange.span.end(exchange.status, exchange.upstream_ns)
        duration_ms = (monotonic_ns() - exchange.began_ns) // 1_000_000
        name = endpoint.name if endpoint is not None else "control"
        self._serving.counters.answered(name, exchange.status, duration_ms)
        if logger.isEnabledFor(logging.DEBUG):
            fields = _log_fields(exchange) | {"status": exchange.status, "ms": duration_ms}
            logger.debug("answered", extra=fields)


def find_endpoint(path: str) -> Endpoint | None:
    """Who answers `path`; None: nothing is there. A slash at the end changes nothing."""
    found = _ROUTES.get(path)
    if found is not None:
        return found
    if path.startswith(_MODEL_PREFIXES) and not path.endswith("/models/"):
        return _ONE_MODEL
    if path.endswith("/") and path[:-1] in _ROUTES:
        return _ROUTES[path[:-1]]
    return None if path.startswith(_API_PREFIXES) else _CONTROL


def build_app(
    settings: Settings,
    segment: Segment,
    forwarder: Forwarder,
    worker_slot: int,
    control_socket: str,
) -> App:
    """The app of one worker, for `asgi_server`. `worker_slot` is its row in the segment."""
    purses = make_purses(settings, segment)
    serving = Serving(settings, segment, forwarder, worker_slot, control_socket, purses=purses)
    return App(serving, Cors(settings.http.cors_origins), make_tracing(settings.tracing))


def make_tracing(settings: TracingSettings) -> "Tracing | None":
    """What makes spans, if a collector is named. Without the library there are none, and the log
    says so: traces are not worth an outage."""
    if not settings.endpoint:
        return None
    try:
        from tokenmill.inference.tracing import Tracing
    except ImportError as error:
        logger.error("no traces: pip install 'tokenmill[otel]' (%s)", error)
        return None
    return Tracing(settings)


def make_purses(settings: Settings, segment: Segment) -> "WorkerPurses | None":
    """Limits and wallets that houses share, if they do."""
    if not settings.redis_url:
        return None
    from tokenmill.purses.worker_purses import WorkerPurses

    return WorkerPurses(settings.redis_url, settings.redis, segment.incarnation)


async def _answer_options(exchange: Exchange, endpoint: Endpoint, cors: Cors) -> None:
    methods = _allowed(endpoint).encode()
    await exchange.start(204, [(b"allow", methods), *cors.preflight(exchange, methods)])
    await exchange.part(b"", more=False)


def _wrong_method(endpoint: Endpoint) -> MethodNotAllowed:
    allowed = _allowed(endpoint)
    message = f"This route does not take this method; it takes {allowed}."
    return MethodNotAllowed(message, headers={"allow": allowed})


def _allowed(endpoint: Endpoint) -> str:
    return ", ".join((*endpoint.methods, "OPTIONS"))


def _log_fields(exchange: Exchange) -> dict[str, object]:
    """What a log line says of a request: never its query, which may hold a key."""
    return {
        "request_id": exchange.request_id.decode("latin-1"),
        "engine_request_id": exchange.engine_id,
        "method": exchange.scope["method"],
        "path": exchange.scope["path"][:256],
    }
