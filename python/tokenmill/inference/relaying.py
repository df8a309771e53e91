"""From the relay's events to the client: the loop that every answer of an engine goes through.

Whatever frames are ready leave as one body part. Until the answer's head is there an error is a
status; afterwards it is the stream's last event, and no `[DONE]` follows.
"""

from typing import TYPE_CHECKING

from tokenmill._native import End, EndReason, Head, Lack, Relay, UsageShape, Whole
from tokenmill.clock import monotonic_ns
from tokenmill.errors import ApiError, ModelLoading, UpstreamError
from tokenmill.inference.admission import Demand, start_paid
from tokenmill.inference.client_watch import ClientWatch, Event
from tokenmill.inference.engine_errors import Blame, from_answer, from_end
from tokenmill.inference.exchange import JSON_TYPE, Exchange
from tokenmill.inference.residency import Supply
from tokenmill.inference.serving import Serving
from tokenmill.inference.shared_limits import settle_shared
from tokenmill.models.fleet import Route
from tokenmill.models.lookup import RETRY_MS
from tokenmill.protocol.errors import sse_event
from tokenmill.protocol.generation import StreamOptions

if TYPE_CHECKING:
    from tokenmill.grammar.views import Constraint

_SSE_TYPE = (b"content-type", b"text/event-stream; charset=utf-8")
_ANSWERS = (Head, Whole)
_COST = b"x-tokenmill-cost-nanos"
_UNBUFFERED = (b"x-accel-buffering", b"no")


class Order:
    """What one engine is asked, and how its answer is to be told."""

    __slots__ = (
        "asked_model",
        "blame",
        "body",
        "calls",
        "constraint",
        "demand",
        "is_stream",
        "route",
        "session",
        "supply",
        "target",
        "usage",
    )

    def __init__(
        self, route: Route, target: str, body: bytes, blame: Blame, demand: Demand
    ) -> None:
        self.route = route
        self.demand = demand
        self.target = target
        self.body = body
        self.blame = blame
        self.asked_model: str | None = None
        self.calls: tuple[list[str], int] | None = None  # tools read out of the text, and how many
        self.constraint: Constraint | None = None  # that no engine may have seen before
        self.is_stream = False
        self.session: str | None = None  # names it, where engines are chosen by that
        self.supply: Supply | None = None  # of an adapter that no engine held
        self.usage = UsageShape.NONE

    def drop_question(self) -> None:
        """Lets go of what was asked: it may be megabytes, and its answer may take minutes."""
        if self.body:
            self.body = b""
            del self.demand


def usage_shape(options: StreamOptions | None) -> UsageShape:
    """Which usage a stream's client asked for."""
    if options is None or not options.include_usage:
        return UsageShape.NONE
    return UsageShape.CONTINUOUS if options.continuous_usage_stats else UsageShape.FINAL


async def relay(exchange: Exchange, serving: Serving, order: Order) -> None:
    """Sends the engine's answer to the client. What an adapter's request holds it holds once,
    however often the adapter has to be loaded for it.

    Raises: ApiError while no answer has begun, ClientGone.
    """
    span = exchange.span
    if span is not None:
        span.routed(order.route.id, order.asked_model, is_stream=order.is_stream)
    running = await start_paid(exchange, serving, order)
    serving.warm_ups.offer(serving, order, running)
    order.drop_question()  # the relay has it
    with serving.watch(running, exchange.receive) as watch:
        try:
            event = await watch.next_event()
            while isinstance(event, Lack):
                _supply(serving, order, running, event)
                event = await watch.next_event()
            exchange.woken_ns = monotonic_ns()
            if isinstance(event, _ANSWERS):
                exchange.upstream_ns = event.first_byte_ns
            if isinstance(event, Head):
                await _relay_stream(exchange, serving, watch, order, running)
            else:
                await settle_shared(exchange, serving, running)
                body = _whole_body(event, serving, order)
                if span is not None:
                    span.saw(body)
                cost = (_COST, b"%d" % running.cost_nanos)
                await exchange.answer(200, [JSON_TYPE, cost], body)
        finally:
            if span is not None:
                span.used(running.usage(), serving.engine_name(running.engine))
            if order.supply is not None:
                order.supply.close()


def _supply(serving: Serving, order: Order, running: Relay, lack: Lack) -> None:
    """Has the adapter loaded that the relay lacks, while its events and its client are watched."""
    if order.supply is None:
        order.supply = Supply(serving, order.route, running)
    order.supply.begin(lack.engine)


def _error_of(end: End, serving: Serving, order: Order, *, is_status: bool) -> ApiError:
    """Why an answer ended that is not complete."""
    if order.supply is not None and order.supply.error is not None:
        return order.supply.error
    serving.counters.ended(end.reason)
    return from_end(end, order.blame, is_status=is_status)


def _whole_body(event: Event, serving: Serving, order: Order) -> bytes:
    """The body of a successful JSON answer. Raises: ApiError for anything else."""
    if isinstance(event, End):
        raise _error_of(event, serving, order, is_status=True)
    if not isinstance(event, Whole):
        raise UpstreamError("The engine's answer could not be read.")
    if event.status == 404 and order.route.is_loadable:
        raise ModelLoading(retry_after_ms=RETRY_MS)  # it was loaded, and went at once
    if event.status != 200:
        if event.status >= 500:
            serving.counters.engine_failed()
        raise from_answer(event.status, event.body, order.blame)
    if order.is_stream:
        raise UpstreamError("The engine did not answer with a stream.")
    return event.body


async def _relay_stream(
    exchange: Exchange, serving: Serving, watch: ClientWatch, order: Order, running: Relay
) -> None:
    """Sends frames as they come. A stream that ends otherwise than complete ends with an error."""
    await exchange.start(200, [_SSE_TYPE, _UNBUFFERED])
    write, send = watch.write, exchange.send
    span = exchange.span
    while not isinstance(event := await watch.next_event(), End):
        if isinstance(event, bytes):
            if span is not None:
                span.saw(event)
            await write({"type": "http.response.body", "body": event, "more_body": True}, send)
        elif isinstance(event, Lack):
            _supply(serving, order, running, event)
    await settle_shared(exchange, serving, running)
    last = b""
    if event.reason != EndReason.COMPLETE:
        error = _error_of(event, serving, order, is_status=False)
        last = sse_event(error)
        if span is not None:
            span.failed(error.code)
    await write({"type": "http.response.body", "body": last, "more_body": False}, send)
