"""The fleet snapshot: what control has found, written for the workers to route by.

Control writes `fleet.json` into the state folder (a new file renamed into place) and then raises
the generation in the hot segment; a worker that sees a new generation reads the file. It says what
there is and decides nothing: `rules.py` makes the routes.
"""

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from tokenmill.engines.recognition import EngineKind, EngineState, ServedModel, Task


class Engine(Struct, frozen=True, kw_only=True):
    """A model server: `slot` is its place in the hot segment, stable while the house is up."""

    slot: int
    name: str
    url: str  # http://host:port or unix:/path
    kind: EngineKind
    state: EngineState
    version: str = ""
    api_key: str = ""
    parses_tools: bool = True  # reads calls out of its answers itself
    places: int = 0  # requests that it takes at once; 0: any number
    is_draining: bool = False  # finishes what it has, and is in no route's pool
    last_models: tuple[ServedModel, ...] = ()  # of one that takes nothing now: what it served


class Route(Struct, frozen=True, kw_only=True):
    """A model id that clients may ask for, and who answers."""

    id: str
    task: Task
    pool: int  # index into Fleet.pools
    engine_model: str  # the name the engines know it by
    created: int
    owned_by: str
    kind: Literal["factory", "dedicated"] = "factory"
    account_id: int = 0  # the only account that sees it; 0: all do
    context_tokens_max: int = 0  # 0: unknown
    parent: str = ""  # an adapter's base model
    is_loadable: bool = False  # an adapter that control loads where its pool has nobody


class AbsentModel(Struct, frozen=True):
    """A model, or an alias of one, that was served and that no engine can serve now."""

    account_id: int  # 0: everyone's
    name: str
    is_draining: bool  # its engines are there, and are being drained
    task: Task = "generate"
    is_adapter: bool = False
    is_alias: bool = False


class Fleet(Struct, frozen=True, kw_only=True):
    """Everything a worker needs to route; `routes` in the order of preference for `auto`."""

    generation: int = 0
    engines: tuple[Engine, ...] = ()
    pools: tuple[tuple[int, ...], ...] = ()
    routes: tuple[Route, ...] = ()
    aliases: dict[str, str] = {}
    absent: tuple[AbsentModel, ...] = ()

    def is_loading(self) -> bool:
        """Whether some engine is on its way up: a missing model may yet come."""
        return any(engine.state == "loading" for engine in self.engines)


def fleet_path(state: Path) -> Path:
    """Where the snapshot lies in a state folder."""
    return state / "fleet.json"


def decode_fleet(data: bytes) -> Fleet:
    """The snapshot in `data`. Raises: msgspec.DecodeError, msgspec.ValidationError."""
    return msgspec.json.decode(data, type=Fleet)
