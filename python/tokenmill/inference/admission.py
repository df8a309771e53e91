"""What a request may cost and use, and its start: admitted and on its way, or an error.

Held is the worst case: a token of the prompt has at least one byte, and a template adds some. Only
where the wallet does not cover that, the engine is asked to count the prompt. The estimate for the
limit of tokens a minute is nearer the truth, and corrected to it when the answer is there.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from tokenmill._native import AnswerKind, KeyEntry, Payer, RefusalKind, Refused, Relay
from tokenmill.inference.exchange import Exchange
from tokenmill.inference.refusing import error_of
from tokenmill.inference.serving import Serving
from tokenmill.inference.shared_limits import admit_shared, take_shared, void_shared
from tokenmill.inference.token_count import Question, count_tokens
from tokenmill.models.lookup import answer_name

if TYPE_CHECKING:
    from tokenmill.inference.relaying import Order

CHAT, COMPLETIONS, EMBEDDINGS = range(3)
"""Endpoints, as cells know them."""

BYTES_PER_TOKEN = 4
"""Of English text, roughly: for estimates only."""

TEMPLATE_TOKENS = 512
MESSAGE_TOKENS = 32
"""What a chat template may add to a prompt, and to each message. The longest known templates add
some 300 tokens with tools, and a handful to a message."""

BEGIN_TOKENS = 8
"""What an engine may put before and after a bare prompt."""

UNKNOWN_COMPLETION_TOKENS = 1_024
CONTEXT_TOKENS = 131_072
"""What a completion without a limit on a model of unknown length may have."""


class Demand(Struct, frozen=True, kw_only=True):
    """What one request may use."""

    endpoint: int
    key: KeyEntry
    body_bytes: int
    template_tokens: int = 0
    completion_tokens_max: int = 0  # over all choices
    completion_tokens_estimate: int = 0
    counting: Callable[[str], bytes] | None = None  # what to ask /tokenize of a model

    def prompt_tokens_max(self, sent_bytes: int) -> int:
        """Tokens that the prompt surely does not exceed, sent to the engine in so many bytes."""
        return max(self.body_bytes, sent_bytes) + self.template_tokens

    @property
    def tokens_estimate(self) -> int:
        """For the limit of tokens a minute."""
        return self.body_bytes // BYTES_PER_TOKEN + self.completion_tokens_estimate


def completion_tokens(asked: int | None, choices: int, context_tokens_max: int) -> tuple[int, int]:
    """The most that an answer can have, and the estimate for limits."""
    most = asked if asked is not None else context_tokens_max or CONTEXT_TOKENS
    estimate = asked if asked is not None else UNKNOWN_COMPLETION_TOKENS
    return most * choices, estimate * choices


async def start_paid(exchange: Exchange, serving: Serving, order: "Order") -> Relay:
    """The request on its way, with what it may cost held. Raises: ApiError, ClientGone."""
    demand = order.demand
    most = demand.prompt_tokens_max(len(order.body))
    started = await _begin(exchange, serving, order, most)
    if isinstance(started, Refused) and started.kind == RefusalKind.BALANCE:
        counted = await _count_prompt(exchange, serving, order)
        if counted is not None and counted < most:
            started = await _begin(exchange, serving, order, counted)
    if isinstance(started, Refused):
        serving.counters.refused(started.kind)
        account = serving.segment.account(demand.key.account_id)
        raise error_of(started, account, is_factory=order.route.kind == "factory")
    return started


async def take_request(exchange: Exchange, serving: Serving, key: KeyEntry) -> None:
    """Takes the key's permit for one request. Raises: ApiError."""
    segment, account_id = serving.segment, key.account_id
    if serving.purses is None:
        refused = segment.take_request(account_id)
    else:
        refused = await take_shared(exchange, serving, serving.purses, key)
    if refused is None:
        return
    serving.counters.refused(refused.kind, in_shadow=not serving.enforces)
    if serving.enforces:
        raise error_of(refused, segment.account(account_id), is_factory=True)


async def _begin(
    exchange: Exchange, serving: Serving, order: "Order", prompt_tokens_max: int
) -> Relay | Refused:
    """Admitted and started; counts what would have refused it where nothing does."""
    purses, demand = serving.purses, order.demand
    payer = _payer(serving, order, prompt_tokens_max)
    overlooked = None
    if purses is not None:
        refused = await admit_shared(exchange, serving, purses, demand.key, payer)
        if refused is not None and serving.enforces:
            return refused
        overlooked = refused
    started: Relay | Refused | None = None
    try:
        started = _start(exchange, serving, order, payer)
    finally:
        if not isinstance(started, Relay):
            await void_shared(exchange, serving)
    if isinstance(started, Refused):
        return started
    if purses is None:
        overlooked = started.overlooked
    if not serving.enforces and overlooked is not None:
        serving.counters.refused(overlooked.kind, in_shadow=True)
    return started


def _payer(serving: Serving, order: "Order", prompt_tokens_max: int) -> Payer:
    demand = order.demand
    return Payer(
        demand.key,
        serving.tariff(order.route, demand.endpoint, demand.key.account_id),
        prompt_tokens_max=prompt_tokens_max,
        completion_tokens_max=demand.completion_tokens_max,
        tokens_estimate=demand.tokens_estimate,
        prompt_tokens_min=demand.body_bytes // BYTES_PER_TOKEN,
        # A purse has decided already, if there is one.
        enforce=serving.enforces and serving.purses is None,
    )


def _start(exchange: Exchange, serving: Serving, order: "Order", payer: Payer) -> Relay | Refused:
    route = order.route
    name = answer_name(route, order.asked_model)
    return serving.forwarder.start(
        serving.pool(route),
        order.target,
        order.body,
        kind=AnswerKind.STREAM if order.is_stream else AnswerKind.WHOLE,
        request_id=exchange.engine_id,
        usage=order.usage,
        model=None if name == route.engine_model else name,
        calls=order.calls,
        session=order.session,
        trace=exchange.outgoing_trace(),
        payer=payer,
        is_loadable=route.is_loadable,
    )


async def _count_prompt(exchange: Exchange, serving: Serving, order: "Order") -> int | None:
    """The engine's count of the prompt's tokens; None where it has none to give. Raises: ApiError,
    where the engine cannot be asked."""
    if order.demand.counting is None:
        return None
    route = serving.fleet_index().counting_route(order.route)
    question = Question(route, order.demand.counting(route.engine_model), order.blame)
    return await count_tokens(exchange, serving, order.demand.key, question)
