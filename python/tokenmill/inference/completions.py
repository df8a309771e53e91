"""POST /completions."""

from tokenmill.clock import monotonic_ns
from tokenmill.inference.authorise import authorise
from tokenmill.inference.body import read_json
from tokenmill.inference.engine_errors import Blame
from tokenmill.inference.exchange import Exchange
from tokenmill.inference.relaying import Order, relay, usage_shape
from tokenmill.inference.serving import Serving
from tokenmill.inference.structure import Structurer
from tokenmill.inference.terms import terms_of
from tokenmill.protocol.checks import check_completion
from tokenmill.protocol.shaping import shape_completion

_TARGET = "/v1/completions"
_BLAME = Blame("prompt", "structured_outputs")


async def completions(exchange: Exchange, serving: Serving) -> None:
    """Answers a text completion request, streamed or whole. Raises: ApiError, ClientGone."""
    bounds = serving.settings.bounds
    key = authorise(exchange, serving)
    body = await read_json(exchange, bounds, serving.deadlines)
    exchange.body_ns = monotonic_ns()
    serving.counters.received(len(body))
    request = serving.completion_decoder.decode(body)
    check_completion(request, bounds)
    exchange.decoded_ns = monotonic_ns()
    asked, usage = request.model, usage_shape(request.stream_options)
    is_stream = bool(request.stream)
    route = serving.route(asked, key, "generate")
    await Structurer(exchange, serving, route, key.account_id).enforce_content(request)
    order = Order(route, _TARGET, shape_completion(request, terms_of(route)), _BLAME)
    order.asked_model, order.is_stream, order.usage = asked, is_stream, usage
    exchange.routed_ns = monotonic_ns()
    await relay(exchange, serving, order)
