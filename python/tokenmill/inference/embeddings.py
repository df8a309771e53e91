"""POST /embeddings.

No input may have more tokens than `embedding_tokens_max`, by the engine's own tokenizer. A text has
at most as many tokens as bytes, and an engine refuses what is over its own context; only for a
longer text on an engine that would take more is it asked to count first.
"""

import msgspec
from msgspec import Struct

from tokenmill._native import KeyEntry
from tokenmill.clock import monotonic_ns
from tokenmill.errors import InvalidRequest
from tokenmill.inference.admission import BEGIN_TOKENS, EMBEDDINGS, Demand, take_request
from tokenmill.inference.authorise import authorise
from tokenmill.inference.body import read_json
from tokenmill.inference.engine_errors import Blame
from tokenmill.inference.exchange import Exchange
from tokenmill.inference.relaying import Order, relay
from tokenmill.inference.serving import Serving
from tokenmill.inference.terms import terms_of
from tokenmill.inference.token_count import Question, count_tokens
from tokenmill.models.fleet import Route
from tokenmill.protocol.checks import check_embedding
from tokenmill.protocol.embeddings import EmbeddingRequest
from tokenmill.protocol.shaping import shape_embedding

_TARGET = "/v1/embeddings"
_BLAME = Blame("input")


class _Tokenize(Struct):
    model: str
    prompt: str


async def embeddings(exchange: Exchange, serving: Serving) -> None:
    """Answers an embeddings request. Raises: ApiError, ClientGone."""
    bounds = serving.settings.bounds
    key = authorise(exchange, serving)
    await take_request(exchange, serving, key)
    body = await read_json(exchange, bounds, serving.deadlines)
    exchange.body_ns = monotonic_ns()
    serving.counters.received(len(body))
    request = serving.embedding_decoder.decode(body)
    check_embedding(request, bounds)
    exchange.decoded_ns = monotonic_ns()
    asked = request.model
    route = serving.route(asked, key, "embed")
    for named in long_texts(request, bounds.embedding_tokens_max, route.context_tokens_max):
        await _check_count(exchange, serving, key, route, named)
    inputs = 1 if isinstance(request.input, str) else len(request.input)
    demand = Demand(
        endpoint=EMBEDDINGS,
        key=key,
        body_bytes=len(body),
        template_tokens=BEGIN_TOKENS * inputs,
    )
    session = serving.session(exchange, route, request.user)
    shaped = shape_embedding(request, terms_of(route))
    order = Order(route, _TARGET, shaped, _BLAME, demand)
    order.asked_model = asked
    order.session = session
    exchange.routed_ns = monotonic_ns()
    await relay(exchange, serving, order)


def long_texts(
    request: EmbeddingRequest, tokens_max: int, context_tokens_max: int
) -> list[tuple[str, str]]:
    """Paths and texts that may have too many tokens without the engine refusing them itself."""
    if 0 < context_tokens_max <= tokens_max:
        return []
    if isinstance(request.input, str):
        named = [("input", request.input)]
    else:
        texts = (each for each in enumerate(request.input) if isinstance(each[1], str))
        named = [(f"input[{index}]", str(text)) for index, text in texts]
    return [(path, text) for path, text in named if len(text.encode()) > tokens_max]


async def _check_count(
    exchange: Exchange, serving: Serving, key: KeyEntry, route: Route, named: tuple[str, str]
) -> None:
    """Asks the engine how many tokens a text has. Raises: InvalidRequest, if too many; ApiError,
    where no engine can be asked now."""
    param, text = named
    tokens_max = serving.settings.bounds.embedding_tokens_max
    asked = msgspec.json.encode(_Tokenize(route.engine_model, text))
    count = await count_tokens(exchange, serving, key, Question(route, asked, _BLAME))
    # An engine without a tokenizer route judges the input itself.
    if count is not None and count > tokens_max:
        message = f"`{param}` has {count} tokens; at most {tokens_max} are allowed."
        raise InvalidRequest(message, param=param, code="context_length_exceeded")
