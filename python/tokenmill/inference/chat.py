"""POST /chat/completions."""

from tokenmill.clock import monotonic_ns
from tokenmill.inference.authorise import authorise
from tokenmill.inference.body import read_json
from tokenmill.inference.calling import structure_chat
from tokenmill.inference.engine_errors import Blame
from tokenmill.inference.exchange import Exchange
from tokenmill.inference.relaying import Order, relay, usage_shape
from tokenmill.inference.serving import Serving
from tokenmill.inference.structure import Structurer
from tokenmill.inference.terms import terms_of
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.checks import check_chat
from tokenmill.protocol.shaping import shape_chat

_TARGET = "/v1/chat/completions"


async def chat(exchange: Exchange, serving: Serving) -> None:
    """Answers a chat completion request, streamed or whole. Raises: ApiError, ClientGone."""
    bounds = serving.settings.bounds
    key = authorise(exchange, serving)
    body = await read_json(exchange, bounds, serving.deadlines)
    exchange.body_ns = monotonic_ns()
    serving.counters.received(len(body))
    request = serving.chat_decoder.decode(body)
    check_chat(request, bounds)
    exchange.decoded_ns = monotonic_ns()
    asked, usage = request.model, usage_shape(request.stream_options)
    is_stream = bool(request.stream)
    route = serving.route(asked, key, "generate")
    blame = Blame("messages", _schema_field(request))  # before it becomes a grammar
    structurer = Structurer(exchange, serving, route, key.account_id)
    parses = serving.fleet_index().parses_tools(route)
    calls = await structure_chat(structurer, request, engine_parses=parses)
    order = Order(route, _TARGET, shape_chat(request, terms_of(route)), blame)
    order.asked_model, order.is_stream, order.usage = asked, is_stream, usage
    order.calls = calls
    exchange.routed_ns = monotonic_ns()
    await relay(exchange, serving, order)


def _schema_field(request: ChatRequest) -> str | None:
    """The field to blame for a schema that an engine cannot compile."""
    for name in ("response_format", "structured_outputs", "tools"):
        if getattr(request, name) is not None:
            return name
    return None
