"""POST /chat/completions."""

import msgspec
from msgspec import Struct

from tokenmill._native import KeyEntry
from tokenmill.clock import monotonic_ns
from tokenmill.inference.admission import (
    CHAT,
    MESSAGE_TOKENS,
    TEMPLATE_TOKENS,
    Demand,
    completion_tokens,
    take_request,
)
from tokenmill.inference.authorise import authorise
from tokenmill.inference.body import read_json
from tokenmill.inference.calling import structure_chat
from tokenmill.inference.engine_errors import Blame
from tokenmill.inference.exchange import Exchange
from tokenmill.inference.relaying import Order, relay, usage_shape
from tokenmill.inference.serving import Serving
from tokenmill.inference.structure import Structurer
from tokenmill.inference.terms import terms_of
from tokenmill.models.fleet import Route
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.checks import check_chat
from tokenmill.protocol.messages import Message
from tokenmill.protocol.schemas import schemas_of
from tokenmill.protocol.shaping import shape_chat
from tokenmill.protocol.tools import Tool

_TARGET = "/v1/chat/completions"
_BLAME = Blame("messages")
_ENCODE = msgspec.json.Encoder().encode


async def chat(exchange: Exchange, serving: Serving) -> None:
    """Answers a chat completion request, streamed or whole. Raises: ApiError, ClientGone."""
    key = authorise(exchange, serving)
    await take_request(exchange, serving, key)
    await relay(exchange, serving, await _order(exchange, serving, key))


async def _order(exchange: Exchange, serving: Serving, key: KeyEntry) -> Order:
    """What the engine is asked. Apart, so that body and request live no longer than this."""
    bounds = serving.settings.bounds
    body = await read_json(exchange, bounds, serving.deadlines)
    exchange.body_ns = monotonic_ns()
    serving.counters.received(len(body))
    request = serving.chat_decoder.decode(body)
    check_chat(request, bounds)
    if sent := schemas_of(request):
        await serving.grammars.check(sent)
    exchange.decoded_ns = monotonic_ns()
    asked, usage = request.model, usage_shape(request.stream_options)
    is_stream = bool(request.stream)
    route = serving.route(asked, key, "generate")
    blame, calls, constraint = _BLAME, None, None
    if request.tools or request.structured_outputs or request.response_format:
        blame = Blame("messages", _schema_field(request))  # before it becomes a grammar
        structurer = Structurer(exchange, serving, route, key.account_id)
        parses = serving.fleet_index().parses_tools(route)
        calls = await structure_chat(structurer, request, engine_parses=parses)
        constraint = structurer.constraint(request)
    session = serving.session(exchange, route, request.user)
    shaped = serving.isolated(shape_chat(request, terms_of(route)), route, key.account_id)
    demand = _demand(request, key, route, len(body))
    order = Order(route, _TARGET, shaped, blame, demand)
    order.asked_model, order.is_stream, order.usage = asked, is_stream, usage
    order.session = session
    order.calls, order.constraint = calls, constraint
    exchange.routed_ns = monotonic_ns()
    return order


class _Tokenize(Struct, omit_defaults=True):
    model: str
    messages: list[Message]
    tools: list[Tool] | None = None


def _schema_field(request: ChatRequest) -> str | None:
    """The field to blame for a schema that an engine cannot compile."""
    for name in ("response_format", "structured_outputs", "tools"):
        if getattr(request, name) is not None:
            return name
    return None


def _demand(request: ChatRequest, key: KeyEntry, route: Route, body_bytes: int) -> Demand:
    """What the shaped request may use."""
    most, estimate = completion_tokens(request.max_tokens, request.n or 1, route.context_tokens_max)
    messages = request.messages
    return Demand(
        endpoint=CHAT,
        key=key,
        body_bytes=body_bytes,
        template_tokens=TEMPLATE_TOKENS + MESSAGE_TOKENS * len(messages),
        completion_tokens_max=most,
        completion_tokens_estimate=estimate,
        counting=lambda model: _ENCODE(_Tokenize(model, messages, request.tools)),
    )
