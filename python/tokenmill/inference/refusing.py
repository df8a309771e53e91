"""What a refused admission is called: pure, from the native side's answer to the client's error.

Where time helps the error says when to come back, to the millisecond; where money is missing it
says how much and where to add it.
"""

from tokenmill._native import AccountView, RefusalKind, Refused
from tokenmill.errors import (
    ApiError,
    InsufficientBalance,
    InsufficientQuota,
    InvalidRequest,
    PermissionDenied,
    RateLimited,
    ServiceUnavailable,
)

BUSY_RETRY_MS = 1_000
"""When to come back where only other requests' ends help."""

_NANOS = 1_000_000_000
_FUNDS = "Add funds under Billing in the dashboard, or with `tokenmill wallet add`."


def error_of(refused: Refused, account: AccountView | None, *, is_factory: bool) -> ApiError:
    """The error for a refusal. `account` as it is now, for the numbers in the message."""
    if refused.kind == RefusalKind.BALANCE:
        return _unfunded(refused.missing_nanos, is_factory=is_factory)
    if refused.kind in (RefusalKind.REQUESTS, RefusalKind.TOKENS):
        return _limited(refused, account)
    if refused.kind == RefusalKind.NEVER_FITS:
        return _never(account)
    if refused.kind == RefusalKind.OVERLOADED:
        return overloaded(refused.retry_after_ms)
    return _other(refused.kind, account)


def _limited(refused: Refused, account: AccountView | None) -> ApiError:
    is_requests = refused.kind == RefusalKind.REQUESTS
    what = "requests" if is_requests else "tokens"
    limit = getattr(account, f"{what}_per_min", 0)
    wait_s = refused.retry_after_ms / 1000
    message = f"Rate limit reached: {limit} {what} a minute. Try again in {wait_s:.3f} s."
    return RateLimited(message, retry_after_ms=refused.retry_after_ms)


def overloaded(retry_after_ms: int) -> ServiceUnavailable:
    """Every engine is busy, and so many wait already that the request would wait too long."""
    message = f"Every engine is busy. Try again in {retry_after_ms / 1000:.3f} s."
    return ServiceUnavailable(message, retry_after_ms=retry_after_ms)


def _never(account: AccountView | None) -> ApiError:
    limit = account.tokens_per_min if account else 0
    message = (
        f"The request may use more tokens than the {limit} a minute of this account: send a"
        " shorter prompt or a smaller max_tokens."
    )
    return InvalidRequest(message, param="max_tokens", code="rate_limit_too_small")


def _other(kind: RefusalKind, account: AccountView | None) -> ApiError:
    if kind == RefusalKind.CONCURRENCY:
        limit = account.concurrency_max if account else 0
        message = f"Rate limit reached: {limit} requests at a time. Wait for one to end."
        return RateLimited(message, retry_after_ms=BUSY_RETRY_MS)
    if kind == RefusalKind.DISABLED:
        return PermissionDenied("This account is disabled.", code="account_disabled")
    if kind == RefusalKind.NO_ACCOUNT:
        return ServiceUnavailable("The account is not loaded yet.", retry_after_ms=BUSY_RETRY_MS)
    return ServiceUnavailable("The gateway is full.", retry_after_ms=BUSY_RETRY_MS)


def dollars(nanos: int) -> str:
    """Nanos as dollars, exact, without zeros at the end: `0.0000123`."""
    whole, rest = divmod(abs(nanos), _NANOS)
    text = f"{whole}.{rest:09}".rstrip("0").rstrip(".")
    return f"-{text}" if nanos < 0 else text


def _unfunded(missing_nanos: int, *, is_factory: bool) -> ApiError:
    message = (
        f"The wallet does not cover what this request may cost: ${dollars(missing_nanos)} are"
        f" missing. {_FUNDS}"
    )
    return InsufficientBalance(message) if is_factory else InsufficientQuota(message)
