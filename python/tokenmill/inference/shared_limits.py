"""Admission where many houses share limits and wallets: by the account's purse in Redis.

The same questions as to the hot segment and the same refusals. The segment's cell is taken after
the purse has let the request in, and keeps what was used through the death of this process; control
tells the purse what came to the ledger, so what is not told here is told there.
"""

from typing import TYPE_CHECKING

from tokenmill._native import KeyEntry, Payer, RefusalKind, Refused, Relay, limit_headers
from tokenmill.errors import ServiceUnavailable
from tokenmill.inference.exchange import Exchange, Headers
from tokenmill.inference.serving import Serving
from tokenmill.purses.errors import RETRY_MS, PursesAway
from tokenmill.purses.values import Answer, Look, Terms, Wish

if TYPE_CHECKING:
    from tokenmill.purses.worker_purses import WorkerPurses

_KINDS = {
    "requests": RefusalKind.REQUESTS,
    "tokens": RefusalKind.TOKENS,
    "never": RefusalKind.NEVER_FITS,
    "concurrency": RefusalKind.CONCURRENCY,
    "balance": RefusalKind.BALANCE,
}
_WAITS = ("requests", "tokens")


class Levels:
    """What is left of an account's limits, for the headers of an answer."""

    def __init__(self, limits: Terms, answer: Answer) -> None:
        self._limits = limits
        self._answer = answer

    def limit_headers(self, _account_id: int, wall_s: int) -> Headers:
        """As `Segment.limit_headers`."""
        limits, answer = self._limits, self._answer
        return limit_headers(
            wall_s,
            requests=(
                limits.requests_per_min,
                answer.requests_remaining,
                answer.requests_reset_ms,
            ),
            tokens=(limits.tokens_per_min, answer.tokens_remaining, answer.tokens_reset_ms),
        )


def limits_of(serving: Serving, account_id: int) -> Terms:
    """What the account may do, as the segment has it. Raises: ServiceUnavailable."""
    view = serving.segment.account(account_id)
    if view is None:
        raise ServiceUnavailable("The account is not loaded yet.", retry_after_ms=RETRY_MS)
    return Terms(view.requests_per_min, view.tokens_per_min, view.concurrency_max)


async def take_shared(
    exchange: Exchange, serving: Serving, purses: "WorkerPurses", key: KeyEntry
) -> Refused | None:
    """Takes a permit for one request. Raises: PursesAway."""
    limits = limits_of(serving, key.account_id)
    answer = _known(await purses.take(key.account_id, limits))
    exchange.limited_by = Levels(limits, answer)
    return _refused(answer)


async def admit_shared(
    exchange: Exchange, serving: Serving, purses: "WorkerPurses", key: KeyEntry, payer: Payer
) -> Refused | None:
    """Holds what the request may cost and use; what refuses it, or would. Raises: PursesAway."""
    limits = limits_of(serving, key.account_id)
    wish = Wish(
        _purse_id(exchange), payer.reserve_nanos, payer.tokens_estimate, enforce=serving.enforces
    )
    answer = _known(await purses.admit(key.account_id, limits, wish))
    exchange.limited_by = Levels(limits, answer)
    refused = _refused(answer)
    exchange.holds_shared = refused is None or not serving.enforces
    return refused


async def settle_shared(exchange: Exchange, serving: Serving, relay: Relay) -> None:
    """Tells the purse what the request came to, before its answer ends."""
    purses, account_id = serving.purses, exchange.account_id
    if purses is None or not exchange.holds_shared:
        return
    exchange.holds_shared = False
    usage, limits = relay.usage(), limits_of(serving, account_id)
    tokens = usage.prompt_tokens + usage.completion_tokens
    request_id = _purse_id(exchange)
    answer = await purses.settle(account_id, limits, request_id, relay.cost_nanos, tokens)
    if answer is not None:
        exchange.limited_by = Levels(limits, answer)


async def void_shared(exchange: Exchange, serving: Serving) -> None:
    """The request that was let in does not run."""
    if serving.purses is not None and exchange.holds_shared:
        exchange.holds_shared = False
        limits = limits_of(serving, exchange.account_id)
        await serving.purses.void(exchange.account_id, limits, _purse_id(exchange))


async def look_shared(serving: Serving, purses: "WorkerPurses", account_id: int) -> Look:
    """What is in the account's purse. Raises: PursesAway."""
    look = await purses.look(account_id, limits_of(serving, account_id))
    if look is None:
        raise PursesAway
    return look


async def tell_shared(exchange: Exchange, serving: Serving) -> None:
    """The answer tells what is left of the limits, though it took no permit; where the purse does
    not say, it tells nothing of them."""
    purses, account_id = serving.purses, exchange.account_id
    if purses is None or not account_id or exchange.limited_by is not None:
        return
    try:
        look = await look_shared(serving, purses, account_id)
    except ServiceUnavailable:  # which a purse that is away is, too
        return
    exchange.limited_by = Levels(limits_of(serving, account_id), look.levels)


def _purse_id(exchange: Exchange) -> str:
    """The digits that the request's cell has too."""
    return exchange.engine_id.removeprefix("req_")


def _known(answer: Answer) -> Answer:
    if answer.is_known:
        return answer
    message = (
        "Limits and wallets are being read again after a loss. Try again after the given time."
    )
    raise PursesAway(message, answer.wait_ms if answer.word == "closed" else RETRY_MS)


def _refused(answer: Answer) -> Refused | None:
    kind = _KINDS.get(answer.word)
    if kind is None:
        return None
    wait_ms = answer.wait_ms if answer.word in _WAITS else 0
    missing = answer.number if answer.word == "balance" else 0
    return Refused(kind, wait_ms, missing)
