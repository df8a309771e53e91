"""POST /completions."""

import msgspec
from msgspec import Struct

from tokenmill._native import KeyEntry
from tokenmill.clock import monotonic_ns
from tokenmill.inference.admission import (
    BEGIN_TOKENS,
    COMPLETIONS,
    Demand,
    completion_tokens,
    take_request,
)
from tokenmill.inference.authorise import authorise
from tokenmill.inference.body import read_json
from tokenmill.inference.engine_errors import Blame
from tokenmill.inference.exchange import Exchange
from tokenmill.inference.relaying import Order, relay, usage_shape
from tokenmill.inference.serving import Serving
from tokenmill.inference.structure import Structurer
from tokenmill.inference.terms import terms_of
from tokenmill.models.fleet import Route
from tokenmill.protocol.checks import check_completion
from tokenmill.protocol.completions import CompletionRequest
from tokenmill.protocol.schemas import schemas_of
from tokenmill.protocol.shaping import shape_completion

_TARGET = "/v1/completions"
_ENCODE = msgspec.json.Encoder().encode
_BLAME = Blame("prompt", "structured_outputs")


class _Tokenize(Struct):
    model: str
    prompt: str


async def completions(exchange: Exchange, serving: Serving) -> None:
    """Answers a text completion request, streamed or whole. Raises: ApiError, ClientGone."""
    key = authorise(exchange, serving)
    await take_request(exchange, serving, key)
    await relay(exchange, serving, await _order(exchange, serving, key))


async def _order(exchange: Exchange, serving: Serving, key: KeyEntry) -> Order:
    """What the engine is asked. Apart, so that body and request live no longer than this."""
    bounds = serving.settings.bounds
    body = await read_json(exchange, bounds, serving.deadlines)
    exchange.body_ns = monotonic_ns()
    serving.counters.received(len(body))
    request = serving.completion_decoder.decode(body)
    check_completion(request, bounds)
    if sent := schemas_of(request):
        await serving.grammars.check(sent)
    exchange.decoded_ns = monotonic_ns()
    asked, usage = request.model, usage_shape(request.stream_options)
    is_stream = bool(request.stream)
    route = serving.route(asked, key, "generate")
    structurer = Structurer(exchange, serving, route, key.account_id)
    await structurer.enforce_content(request)
    constraint = structurer.constraint(request)
    session = serving.session(exchange, route, request.user)
    shaped = serving.isolated(shape_completion(request, terms_of(route)), route, key.account_id)
    demand = _demand(request, key, route, len(body))
    order = Order(route, _TARGET, shaped, _BLAME, demand)
    order.asked_model, order.is_stream, order.usage = asked, is_stream, usage
    order.session, order.constraint = session, constraint
    exchange.routed_ns = monotonic_ns()
    return order


def _demand(request: CompletionRequest, key: KeyEntry, route: Route, body_bytes: int) -> Demand:
    """What the shaped request may use."""
    prompt = request.prompt
    prompts = 1 if isinstance(prompt, str) or isinstance(prompt[0], int) else len(prompt)
    choices = (request.n or 1) * prompts
    most, estimate = completion_tokens(request.max_tokens, choices, route.context_tokens_max)
    return Demand(
        endpoint=COMPLETIONS,
        key=key,
        body_bytes=body_bytes,
        template_tokens=BEGIN_TOKENS * prompts,
        completion_tokens_max=most,
        completion_tokens_estimate=estimate,
        counting=(
            (lambda model: _ENCODE(_Tokenize(model, prompt))) if isinstance(prompt, str) else None
        ),
    )
