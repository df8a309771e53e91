"""What crosses between control and the command line about engines: the shape of the JSON."""

from msgspec import Struct

from tokenmill.engines.recognition import EngineKind, EngineState


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


class EngineList(Struct, frozen=True):
    """All engines, in the order of preference."""

    data: list[EngineView]


class Assignment(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose an engine is to be: an account's name, or none for everyone's."""

    account: str | None = None
