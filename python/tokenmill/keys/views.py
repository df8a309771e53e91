"""Keys as control's private socket and the command line speak of them."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tokenmill.accounts.rules import LOCAL_ACCOUNT
from tokenmill.keys.rules import NAME_CHARACTERS_MAX, KeyKind, KeyState

SECONDS_MAX = 100 * 365 * 86_400
MODELS_MAX = 100

Name = Annotated[
    str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f]*$")
]
ModelId = Annotated[str, Meta(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f]*$")]
ScopeName = Literal["inference", "batches", "tuning", "usage"]
Seconds = Annotated[int, Meta(ge=0, le=SECONDS_MAX)]


class KeyView(Struct, frozen=True, kw_only=True):
    """A key without its secret. Times are seconds since the epoch; 0: never, not."""

    id: int
    kind: KeyKind
    name: str
    account: str
    account_id: int
    tier: str
    shown: str
    scopes: tuple[str, ...]
    models: tuple[str, ...]
    state: KeyState
    is_local: bool
    created_at_s: int
    expires_at_s: int
    revoked_at_s: int
    last_used_at_s: int  # to the minute


class KeyList(Struct, frozen=True, kw_only=True):
    """Keys, oldest first."""

    data: list[KeyView]


class MadeKey(Struct, frozen=True, kw_only=True):
    """A new key and its secret, which is nowhere to be had again."""

    secret: str
    key: KeyView


class NewKeyWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new key of an account is to be. No scopes: all of them. No models: all the account
    sees. `dashboard` is a token for these routes, `operator` one for every account's, `engine` one
    by which engines register themselves."""

    name: Name = "key"
    kind: KeyKind = "api"
    scopes: tuple[ScopeName, ...] = ()
    models: Annotated[tuple[ModelId, ...], Meta(max_length=MODELS_MAX)] = ()
    expires_in_s: Seconds = 0  # 0: never

    def for_account(self, name: str) -> "CreateKey":
        """The same for the account called `name`."""
        return CreateKey(
            name=self.name,
            account=name,
            kind=self.kind,
            scopes=self.scopes,
            models=self.models,
            expires_in_s=self.expires_in_s,
        )


class CreateKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new key is to be. No scopes: all of them. No models: every one the account sees."""

    name: Name = "key"
    account: Name = LOCAL_ACCOUNT
    kind: KeyKind = "api"
    scopes: tuple[str, ...] = ()
    models: Annotated[tuple[ModelId, ...], Meta(max_length=MODELS_MAX)] = ()
    expires_in_s: Seconds = 0  # 0: never


class RotateKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the old key still opens beside the new one; 0: not at all."""

    overlap_s: Seconds = 0
