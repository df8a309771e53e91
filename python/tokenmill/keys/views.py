"""Keys as control's private socket and the command line speak of them."""

from typing import Annotated

from msgspec import Meta, Struct

from tokenmill.accounts.rules import LOCAL_ACCOUNT
from tokenmill.keys.rules import NAME_CHARACTERS_MAX, KeyState

SECONDS_MAX = 100 * 365 * 86_400

Name = Annotated[
    str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f]*$")
]
Seconds = Annotated[int, Meta(ge=0, le=SECONDS_MAX)]


class KeyView(Struct, frozen=True, kw_only=True):
    """A key without its secret. Times are seconds since the epoch; 0: never, not."""

    id: int
    name: str
    account: str
    tier: str
    shown: str
    scopes: tuple[str, ...]
    state: KeyState
    is_local: bool
    created_at_s: int
    expires_at_s: int
    revoked_at_s: int


class MadeKey(Struct, frozen=True, kw_only=True):
    """A new key and its secret, which is nowhere to be had again."""

    secret: str
    key: KeyView


class CreateKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new key is to be. No scopes: all of them."""

    name: Name = "key"
    account: Name = LOCAL_ACCOUNT
    scopes: tuple[str, ...] = ()
    expires_in_s: Seconds = 0  # 0: never


class RotateKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the old key still opens beside the new one; 0: not at all."""

    overlap_s: Seconds = 0
