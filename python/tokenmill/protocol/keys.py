"""What a key may know of itself: the answer of GET /key."""

from msgspec import Struct


class KeyLimit(Struct, kw_only=True):
    """A limit a minute and what is left of it now."""

    limit: int
    remaining: int
    reset_ms: int  # until all of it is there again


class KeyLimits(Struct, kw_only=True):
    """What is limited; null is not. `concurrency`: requests at a time."""

    requests_per_min: KeyLimit | None
    tokens_per_min: KeyLimit | None
    concurrency: int | None


class KeyWallet(Struct, kw_only=True):
    """What can be spent now: the balance less what requests under way hold."""

    available_nanos: int
    available: str  # the same in dollars
    requests_in_flight: int


class KeyInfo(Struct, kw_only=True):
    """A key's account, scopes, limits and wallet; `tier` is empty if it is not known any more."""

    object: str
    key_id: int
    account_id: int
    tier: str
    scopes: tuple[str, ...]
    limits: KeyLimits | None
    wallet: KeyWallet | None
