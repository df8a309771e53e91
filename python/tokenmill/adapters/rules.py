"""Decisions about LoRA adapters, pure: which engine has one, where one is loaded, what makes room.

An adapter is known by its name, belongs to a base model and lies in a folder that engines can read.
An engine holds a bounded number of them; which it holds is what it lists, never what was asked of
it. `control/adapter_keeper.py` does what is decided here.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from tokenmill.engines.recognition import ServedModel

PRIVATE = "tokenmill-private/"
"""Before the names by which engines know adapters that belong to an account. Nobody can ask for a
model by such a name, and one that is left over on an engine is nobody's."""

BUSY_REQUESTS = 8
"""A handful of requests is no queue: as in the choice of an engine for a prompt's sake."""


class Adapter(Struct, frozen=True, kw_only=True):
    """A LoRA adapter; `path` as engines see it, `created` in seconds since the epoch; number and
    name of the only account that sees it, 0 and empty where all do."""

    name: str
    base: str
    path: str
    created: int = 0
    account_id: int = 0
    account: str = ""

    @property
    def engine_name(self) -> str:
        """What engines know it by."""
        return f"{PRIVATE}{self.account_id}/{self.name}" if self.account_id else self.name


class Host(Struct, frozen=True, kw_only=True):
    """An engine that serves an adapter's base: what it holds and how busy it is."""

    name: str
    requests: int
    held: int  # adapters
    is_well: bool = True


def is_held(adapter: Adapter, served: Sequence[ServedModel]) -> bool:
    """Whether an engine that lists these models has the adapter: the same files, on its base."""
    return any(is_same(adapter, model, served) for model in served)


def is_same(adapter: Adapter, model: ServedModel, served: Sequence[ServedModel]) -> bool:
    """Whether a listed model is the adapter, and not another one, or a whole model, of its name.

    A vLLM may serve its model by several names, of which it calls one the parent.
    """
    if model.id != adapter.engine_name or not model.parent:
        return False
    is_on_base = any(each.id == adapter.base and not each.parent for each in served)
    return is_on_base and model.root in ("", adapter.path)


def in_order(hosts: Iterable[Host], adapter: Adapter, held_max: int) -> list[Host]:
    """Where to load the adapter, the best first: an engine that is well, has room and little to do.
    Equals take turns by the adapter, so that not all of them crowd on the first."""

    def rank(host: Host) -> tuple[bool, bool, int, int, bytes]:
        lot = hashlib.sha256(f"{adapter.name}\0{host.name}".encode()).digest()
        return (not host.is_well, host.held >= held_max, host.requests, host.held, lot)

    return sorted(hosts, key=rank)


def wants_another(holders: Iterable[int], others: Iterable[int]) -> bool:
    """Whether an adapter should be on one more engine, by the requests that those who hold it have,
    and those who could: each holder has a queue, and somebody has far less to do."""
    least = min(holders, default=0)
    return least >= BUSY_REQUESTS and any(2 * other <= least for other in others)


def makes_room(
    held: Iterable[str], running: Iterable[str], last_uses_ms: Mapping[str, int]
) -> str | None:
    """The adapter to unload, by its name at engines: the one whose last use is longest ago, never
    one that is in use; None where all are. Only those of `last_uses_ms` are ours to unload, and
    before them an account's that is no more."""
    idle = set(held).difference(running)
    ours = [name for name in idle if name in last_uses_ms or name.startswith(PRIVATE)]
    return min(ours, key=lambda name: (last_uses_ms.get(name, -1), name), default=None)
