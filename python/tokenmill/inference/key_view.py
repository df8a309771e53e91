"""GET /key: what a key may do, what is left of its limits, and what is in the wallet."""

import msgspec
from msgspec import Struct

from tokenmill._native import AccountView
from tokenmill.accounts.rules import TIERS
from tokenmill.inference.authorise import authorise
from tokenmill.inference.exchange import JSON_TYPE, Exchange
from tokenmill.inference.refusing import dollars
from tokenmill.inference.serving import Serving
from tokenmill.inference.shared_limits import Levels, limits_of, look_shared
from tokenmill.keys.rules import scope_names
from tokenmill.protocol.keys import KeyInfo, KeyLimit, KeyLimits, KeyWallet
from tokenmill.purses.values import Look, Terms

_ENCODE = msgspec.json.Encoder().encode


class Shared(Struct, frozen=True, kw_only=True):
    """An account at one moment, over all houses: what the native `AccountView` is of one."""

    available_nanos: int
    in_flight: int
    concurrency_max: int
    requests_per_min: int
    requests_remaining: int
    requests_reset_ms: int
    tokens_per_min: int
    tokens_remaining: int
    tokens_reset_ms: int


Standing = AccountView | Shared


async def key_view(exchange: Exchange, serving: Serving) -> None:
    """Answers with the key's own view, whatever its scopes. Costs no permit. Raises: ApiError."""
    key = authorise(exchange, serving, needs=0)
    view: Standing | None = serving.segment.account(key.account_id)
    if serving.purses is not None:
        look = await look_shared(serving, serving.purses, key.account_id)
        limits = limits_of(serving, key.account_id)
        exchange.limited_by = Levels(limits, look.levels)
        view = _shared(limits, look)
    info = KeyInfo(
        object="key",
        key_id=key.key_id,
        account_id=key.account_id,
        tier=TIERS[key.tier] if key.tier < len(TIERS) else "",
        scopes=scope_names(key.scopes),
        limits=_limits(view) if view else None,
        wallet=_wallet(view) if view else None,
    )
    await exchange.answer(200, [JSON_TYPE], _ENCODE(info))


def _shared(limits: Terms, look: Look) -> Standing:
    levels = look.levels
    return Shared(
        available_nanos=look.available_nanos,
        in_flight=look.in_flight,
        concurrency_max=limits.concurrency_max,
        requests_per_min=limits.requests_per_min,
        requests_remaining=levels.requests_remaining,
        requests_reset_ms=levels.requests_reset_ms,
        tokens_per_min=limits.tokens_per_min,
        tokens_remaining=levels.tokens_remaining,
        tokens_reset_ms=levels.tokens_reset_ms,
    )


def _limits(view: Standing) -> KeyLimits:
    return KeyLimits(
        requests_per_min=_limit(
            view.requests_per_min, view.requests_remaining, view.requests_reset_ms
        ),
        tokens_per_min=_limit(view.tokens_per_min, view.tokens_remaining, view.tokens_reset_ms),
        concurrency=view.concurrency_max or None,
    )


def _limit(limit: int, remaining: int, reset_ms: int) -> KeyLimit | None:
    return KeyLimit(limit=limit, remaining=remaining, reset_ms=reset_ms) if limit else None


def _wallet(view: Standing) -> KeyWallet:
    return KeyWallet(
        available_nanos=view.available_nanos,
        available=dollars(view.available_nanos),
        requests_in_flight=view.in_flight,
    )
