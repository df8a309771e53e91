"""Every setting there is, by its dotted path, with its type and what is allowed: read off Settings.

Pure. The environment variable of `forward.stall_ms` is TOKENMILL_FORWARD_STALL_MS.
"""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from tokenmill.settings import EngineSettings, Settings

PREFIX = "TOKENMILL_"
# Read by the command line itself or by the test suite; never settings.
EXEMPT = ("TOKENMILL_CONFIG", "TOKENMILL_REQUIRE", "TOKENMILL_ENGINE_TOKEN")
EXEMPT_PREFIX = "TOKENMILL_TEST_"

SECRET = frozenset(
    {"database_url", "redis_url", "engines", "kubernetes.api_key", "tracing.headers"}
)
"""Settings whose values may hold a password or a key: never repeated in a message."""


class Setting(Struct, frozen=True, kw_only=True):
    """One setting: a leaf of the tree of Settings."""

    path: str
    type: Any
    field: msgspec.structs.FieldInfo

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.path.replace(".", "_").upper()

    @property
    def default(self) -> Any:
        """Raises: RuntimeError, for the state folder of a user without a home."""
        if self.field.default_factory is not msgspec.NODEFAULT:
            return self.field.default_factory()
        return self.field.default


def settings_tree(owner: type[Struct] = Settings, prefix: str = "") -> Iterator[Setting]:
    """All settings, in the order in which they are declared."""
    for field in msgspec.structs.fields(owner):
        path = prefix + field.name
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            yield from settings_tree(field.type, path + ".")
        else:
            yield Setting(path=path, type=field.type, field=field)


def is_exempt(variable: str) -> bool:
    """Whether a TOKENMILL_… variable is not meant to be a setting."""
    return variable in EXEMPT or variable.startswith(EXEMPT_PREFIX)


def allowed(kind: Any) -> str:
    """What a setting of this type takes, in words: `a whole number from 1 to 256`."""
    bounds = Meta()
    if typing.get_origin(kind) is Annotated:
        kind, *notes = typing.get_args(kind)
        bounds = next(note for note in notes if isinstance(note, Meta))
    origin = typing.get_origin(kind)
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in typing.get_args(kind))
    if origin is tuple:
        return "a list: " + allowed(typing.get_args(kind)[0])
    if origin is dict:
        values = allowed(typing.get_args(kind)[1])
        return f"a table: {values}, by name; in the environment name=value,…"
    if isinstance(kind, types.GenericAlias) or kind not in _WORDS:
        return "a value of another kind"
    return _WORDS[kind] + _range(bounds)


_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a folder",
    EngineSettings: "engine URLs, or tables of url, name and api_key",
}


def _range(bounds: Meta) -> str:
    low = bounds.ge if bounds.ge is not None else bounds.gt
    high = bounds.le if bounds.le is not None else bounds.lt
    if low is None or high is None:
        return ""
    above = "above " if bounds.gt is not None else "from "
    return f" {above}{low} {'up ' if above == 'above ' else ''}to {high}"
