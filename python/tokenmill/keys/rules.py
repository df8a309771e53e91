"""The text of a secret, scopes, and what is shown of a key. Pure: random text is an argument.

`rust/core/src/keys` has the same rules for the hot path; `tests/conformance/cases/keys.toml` holds
both to the same vectors.
"""

import hashlib
import re
import zlib
from collections.abc import Iterable
from enum import IntFlag
from typing import Literal

from tokenmill.ids import BASE62

API_KEY_PREFIX = "pk_live_"
TOKEN_PREFIX = "dt_live_"
"""Of dashboard tokens, which open the control plane and no inference. As long as the other one."""

RANDOM_CHARACTERS = 36
"""214 bits: a plain SHA-256 of it can't be undone, and no slow hash is needed."""

CHECKSUM_CHARACTERS = 6

NAME_CHARACTERS_MAX = 100

KeyState = Literal["live", "expired", "revoked"]

_SECRET = re.compile(rb"[a-z]{2}_live_[0-9A-Za-z]{%d}" % (RANDOM_CHARACTERS + CHECKSUM_CHARACTERS))


class Scope(IntFlag):
    """What a key may do; the bits stand in the hot segment and the database."""

    INFERENCE = 1
    BATCHES = 2
    TUNING = 4
    USAGE = 8  # read-only: usage, limits and the wallet


ALL_SCOPES = Scope.INFERENCE | Scope.BATCHES | Scope.TUNING | Scope.USAGE


SOME_MODELS = 0x100
"""A bit beside the scopes: the key may use the models of its list and no others."""

DASHBOARD = 0x200
"""A bit beside the scopes: no API key but a dashboard token, never in the hot segment."""

OPERATOR = 0x400
"""A bit beside DASHBOARD: a token that sees and changes every account."""

ENGINE = 0x800
"""A bit beside DASHBOARD: a token by which engines register themselves, and nothing else."""

KeyKind = Literal["api", "dashboard", "operator", "engine"]

_BITS: dict[KeyKind, int] = {
    "api": 0,
    "dashboard": DASHBOARD,
    "operator": DASHBOARD | OPERATOR,
    "engine": DASHBOARD | ENGINE,
}

KINDS_OF_OPERATORS: tuple[KeyKind, ...] = ("operator", "engine")
"""Tokens that only an operator may make."""


def kind_of(scopes: int) -> KeyKind:
    """What sort of secret has these bits."""
    if scopes & ENGINE:
        return "engine"
    if scopes & DASHBOARD:
        return "operator" if scopes & OPERATOR else "dashboard"
    return "api"


def kind_bits(kind: KeyKind) -> int:
    """The bits of a sort of secret, beside its scopes."""
    return _BITS[kind]


def prefix_of(kind: KeyKind) -> str:
    """How secrets of this sort begin."""
    return API_KEY_PREFIX if kind == "api" else TOKEN_PREFIX


def make_secret(random_text: str, prefix: str = API_KEY_PREFIX) -> str:
    """The secret whose random part is `random_text`.

    Raises: ValueError, if that is not 36 base62 characters.
    """
    if len(random_text) != RANDOM_CHARACTERS or not set(random_text) <= set(BASE62):
        raise ValueError(f"a secret takes {RANDOM_CHARACTERS} random base62 characters")
    text = prefix + random_text
    return text + checksum(text)


def checksum(text: str) -> str:
    """The six base62 characters that end a secret beginning with `text`: its CRC32."""
    rest = zlib.crc32(text.encode())
    characters = []
    for _ in range(CHECKSUM_CHARACTERS):
        rest, digit = divmod(rest, len(BASE62))
        characters.append(BASE62[digit])
    return "".join(reversed(characters))


def is_well_formed(secret: bytes, prefix: str = API_KEY_PREFIX) -> bool:
    """Whether this could be a secret with `prefix`: right characters, length and checksum."""
    if not secret.startswith(prefix.encode()) or _SECRET.fullmatch(secret) is None:
        return False
    text = secret.decode()
    return text[-CHECKSUM_CHARACTERS:] == checksum(text[:-CHECKSUM_CHARACTERS])


def digest(secret: str) -> bytes:
    """SHA-256 of a secret: all that is ever stored of it."""
    return hashlib.sha256(secret.encode()).digest()


def shown(secret: str) -> str:
    """What lists show: enough to recognise a key by, nothing to use it with."""
    prefix, characters = secret[: len(API_KEY_PREFIX)], secret[len(API_KEY_PREFIX) :]
    return f"{prefix}{characters[:4]}…{characters[-4:]}"


def scope_names(scopes: int) -> tuple[str, ...]:
    """The scopes in `scopes` by name, in the order of their bits."""
    return tuple((scope.name or "").lower() for scope in Scope if scopes & scope)


def parse_scopes(names: Iterable[str]) -> Scope:
    """The bits of `names`. Raises: ValueError that names those there are."""
    known = {(scope.name or "").lower(): scope for scope in Scope}
    scopes = Scope(0)
    for name in names:
        if name not in known:
            raise ValueError(f"there is no scope {name!r}; there are {', '.join(known)}")
        scopes |= known[name]
    if not scopes:
        raise ValueError(f"a key needs a scope; there are {', '.join(known)}")
    return scopes


def models_text(models: Iterable[str]) -> str:
    """A list of model ids as the database has it: a line each, sorted."""
    return "\n".join(sorted(set(models)))


def parse_models(text: str) -> tuple[str, ...]:
    """The model ids of `models_text`."""
    return tuple(text.split("\n")) if text else ()


def key_state(revoked_at_s: int, expires_at_s: int, now_s: int) -> KeyState:
    """Where a key stands at `now_s`; times of 0 are never."""
    if revoked_at_s:
        return "revoked"
    return "expired" if expires_at_s and now_s >= expires_at_s else "live"


def expiry_after_rotation(expires_at_s: int, overlap_s: int, now_s: int) -> int:
    """When the old key of a rotation ends: after the overlap, or earlier if it was to anyway."""
    ends = now_s + overlap_s
    return min(expires_at_s, ends) if expires_at_s else ends
