"""What crosses between control and the command line about engines: the shape of the JSON."""

from typing import Annotated

from msgspec import Meta, Struct

from tokenmill.engines.recognition import EngineKind, EngineState
from tokenmill.engines.rules import Standing


class EngineView(Struct, frozen=True, kw_only=True):
    """An engine as an operator sees it; without an `account` it is for everyone."""

    name: str
    url: str
    kind: EngineKind
    state: EngineState
    version: str
    models: tuple[str, ...]
    account: str
    detail: str  # why it does not serve
    origin: str
    in_flight: int
    is_draining: bool = False  # finishes what it has and gets nothing new
    fault: str = ""  # "refusing", "failing" or "slow": requests go elsewhere for a while
    standing: Standing = "serving"  # what it is good for now


class EngineList(Struct, frozen=True):
    """All engines, in the order of preference."""

    data: list[EngineView]


class AddEngine(Struct, frozen=True, forbid_unknown_fields=True):
    """An engine to be used from now on, with the key that it asks for."""

    url: Annotated[str, Meta(min_length=1, max_length=500)]
    name: Annotated[str, Meta(max_length=200, pattern=r"^[A-Za-z0-9._:-]*$")] = ""
    api_key: Annotated[str, Meta(max_length=1_000)] = ""


class JoinWish(Struct, frozen=True, forbid_unknown_fields=True):
    """An engine that registers itself, or goes on: where gateways reach it."""

    url: Annotated[str, Meta(min_length=1, max_length=500)]
    name: Annotated[str, Meta(max_length=200, pattern=r"^[A-Za-z0-9._:-]*$")] = ""
    api_key: Annotated[str, Meta(max_length=1_000)] = ""
    is_leaving: bool = False  # it finishes what it has and wants nothing new


class Joined(Struct, frozen=True):
    """A lease, and how often to renew it. `in_flight`: what this house has with the engine."""

    engine: str
    lease_ms: int
    renew_ms: int
    in_flight: int


class ChosenEngine(Struct, frozen=True, forbid_unknown_fields=True):
    """An engine, by its name or its URL."""

    engine: Annotated[str, Meta(min_length=1, max_length=500)]


class Assignment(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose an engine is to be: an account's name, or none for everyone's."""

    account: str | None = None
