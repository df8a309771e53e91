"""From what the engines said to the fleet that workers route by: pure.

Control's keeper calls it after every change. A fleet is consistent by construction: each route has
a pool, each pool has serving engines, each alias ends at a route.
"""

from collections.abc import Container, Mapping, Sequence, Set

from msgspec import Struct
from msgspec.structs import replace

from tokenmill.adapters.rules import Adapter
from tokenmill.engines.recognition import ServedModel, Task
from tokenmill.models.fleet import AbsentModel, Engine, Fleet, Route
from tokenmill.models.offers import (
    EngineReport,
    Offer,
    offers_now,
    owed_offers,
    takes_requests,
    whole_offers,
)

CHAT_ALIASES = ("meta-llama/Llama-3.1-8B-Instruct", "your-model-id")
"""Ids that the published examples use; on the embedded engine they mean its chat model."""

EMBEDDING_ALIASES = (
    "text-embedding-ada-002",
    "text-embedding-3-small",
    "text-embedding-3-large",
)
"""OpenAI's ids, which clients and their libraries send by default."""

ALIAS_STEPS_MAX = 8


class Slots(Struct, frozen=True):
    """Places in the hot segment by engine name, and how many there are for engines."""

    by_name: Mapping[str, int]
    count: int


def slots_of(fleet: Fleet, engines_max: int) -> Slots:
    """The slots in use; the last one is reserved for control's own socket."""
    return Slots({engine.name: engine.slot for engine in fleet.engines}, engines_max - 1)


def assign_slots(names: Sequence[str], slots: Slots) -> dict[str, int]:
    """A slot for each name that there is room for; an engine keeps the one it has.

    New ones take slots that never had an engine before those whose engine is no longer known: a
    stream may still be counted there.
    """
    kept = {
        name: slots.by_name[name] for name in names if slots.by_name.get(name, -1) in _all(slots)
    }
    once_used = set(slots.by_name.values())
    free = [slot for slot in _all(slots) if slot not in once_used]
    free += sorted(once_used.intersection(_all(slots)).difference(kept.values()))
    new = (name for name in names if name not in kept)
    return kept | dict(zip(new, free, strict=False))


def _all(slots: Slots) -> range:
    return range(slots.count)


def build_fleet(
    reports: Sequence[EngineReport],
    aliases: Mapping[str, str],
    previous: Fleet,
    engines_max: int,
    *,
    adapters: Mapping[str, Adapter] | None = None,
    lost: Sequence[EngineReport] = (),
    missing: Container[int] = (),
) -> Fleet:
    """The fleet of these engines, with the generation of the previous one.

    `reports` come in the order of preference. Routes of vLLM and named engines stand before those
    of the embedded engine, so `auto` means the embedded engine only where there is no other.
    `adapters` have a route wherever their base has one, with the engines that hold them.
    `lost`: engines that nobody removed and that are in no list any more. `missing`: accounts with
    an engine of their own that is in no list: what they had there nobody else serves for them.
    """
    adapters = adapters or {}
    slots = assign_slots([report.name for report in reports], slots_of(previous, engines_max))
    placed = [report for report in reports if report.name in slots]
    ranked = sorted(placed, key=lambda report: report.kind == "embedded")
    whole = whole_offers([*ranked, *lost], owed_offers(previous, missing), adapters)
    draining = {report.name for report in ranked if report.state == "serving"}
    offers = offers_now(ranked, adapters, whole)
    return Fleet(
        generation=previous.generation,
        engines=tuple(_engine(report, slots[report.name]) for report in placed),
        pools=tuple(tuple(slots[name] for name in offer.engines) for offer in offers),
        routes=tuple(_route(offer, pool) for pool, offer in enumerate(offers)),
        aliases=_aliases(aliases, offers),
        absent=_absent(offers, whole, adapters, aliases, draining),
    )


def _absent(
    offers: Sequence[Offer],
    whole: Sequence[Offer],
    adapters: Mapping[str, Adapter],
    aliases: Mapping[str, str],
    draining: Set[str],
) -> tuple[AbsentModel, ...]:
    """What would be served if nobody were drained or away, and is not."""
    served = {(offer.account_id, offer.model.id) for offer in offers}
    gone = [
        AbsentModel(
            offer.account_id,
            offer.model.id,
            is_draining=not draining.isdisjoint(offer.hosts),
            task=offer.model.task,
            is_adapter=bool(offer.model.parent),
        )
        for offer in whole
        if (offer.account_id, offer.model.id) not in served
    ]
    known = {(offer.account_id, offer.model.id) for offer in whole}
    known |= {(0, name) for _, name in known}
    gone += [
        AbsentModel(each.account_id, each.name, is_draining=False, is_adapter=True)
        for each in adapters.values()
        if (each.account_id, each.name) not in known
    ]
    ends = _aliases(aliases, whole).items()
    real = served.union((each.account_id, each.name) for each in gone)
    named = [
        replace(each, name=name, is_alias=True)
        for name, end in ends
        for each in gone
        if each.name == end and (each.account_id, name) not in real
    ]
    return (*gone, *named)


def _engine(report: EngineReport, slot: int) -> Engine:
    return Engine(
        slot=slot,
        name=report.name,
        url=report.url,
        kind=report.kind,
        state=report.state,
        version=report.version,
        api_key=report.api_key,
        parses_tools=report.parses_tools,
        places=report.places,
        is_draining=report.is_draining,
        last_models=() if takes_requests(report) else report.last_models,
    )


def _route(offer: Offer, pool: int) -> Route:
    model = offer.model
    return Route(
        id=model.id,
        task=model.task,
        pool=pool,
        engine_model=offer.engine_model or model.id,
        created=model.created,
        owned_by=model.owned_by or offer.kind,
        kind="dedicated" if offer.is_dedicated else "factory",
        account_id=offer.account_id,
        context_tokens_max=model.context_tokens_max,
        parent=model.parent,
        is_loadable=offer.is_loadable,
    )


def _aliases(settings: Mapping[str, str], offers: Sequence[Offer]) -> dict[str, str]:
    wanted = _default_aliases(offers) | dict(settings)
    real = {offer.model.id for offer in offers}
    public = {offer.model.id for offer in offers if not offer.account_id}
    found = {name: _end_of(name, wanted, real) for name in wanted if name not in public}
    return {name: end for name, end in found.items() if end}


def _default_aliases(offers: Sequence[Offer]) -> dict[str, str]:
    """The embedded engine's, by its first whole model of each task."""
    aliases: dict[str, str] = {}
    tasks: tuple[tuple[Task, tuple[str, ...]], ...] = (
        ("generate", CHAT_ALIASES),
        ("embed", EMBEDDING_ALIASES),
    )
    for task, names in tasks:
        first = next((offer.model.id for offer in offers if _is_embedded(offer, task)), "")
        if first:
            aliases |= dict.fromkeys(names, first)
    return aliases


def _is_embedded(offer: Offer, task: Task) -> bool:
    is_whole = offer.model.task == task and not offer.model.parent
    return offer.kind == "embedded" and is_whole and not offer.account_id


def _end_of(name: str, wanted: Mapping[str, str], real: set[str]) -> str:
    """The model id an alias ends at, over other aliases; empty if it ends nowhere."""
    for _ in range(ALIAS_STEPS_MAX):
        name = wanted.get(name, "")
        if name in real:
            return name
    return ""


def is_same_fleet(one: Fleet, other: Fleet) -> bool:
    """Whether a worker would route alike by both, generations aside."""
    parts = ("engines", "pools", "routes", "aliases", "absent")
    return all(getattr(one, part) == getattr(other, part) for part in parts)


def newly_serving(before: Fleet, after: Fleet) -> list[Engine]:
    """The engines that serve in the second fleet and did not in the first."""
    served = {(each.slot, each.name, each.url) for each in before.engines if is_taking(each)}
    taking = (each for each in after.engines if is_taking(each))
    return [each for each in taking if (each.slot, each.name, each.url) not in served]


def new_tenants(before: Fleet, after: Fleet) -> list[int]:
    """The slots that have another engine in the second fleet than in the first."""
    tenants = {(each.slot, each.name) for each in before.engines}
    return [each.slot for each in after.engines if (each.slot, each.name) not in tenants]


def is_taking(engine: Engine) -> bool:
    """Whether new requests may go to the engine."""
    return engine.state == "serving" and not engine.is_draining


def models_on(fleet: Fleet, slot: int) -> tuple[ServedModel, ...]:
    """The models that the engine in this slot serves, as the fleet's routes tell, or served when
    it was last in one."""
    idle = (engine.last_models for engine in fleet.engines if engine.slot == slot)
    return next(idle, ()) or tuple(
        ServedModel(
            id=route.engine_model,
            task=route.task,
            created=route.created,
            owned_by=route.owned_by,
            parent=route.parent,
            context_tokens_max=route.context_tokens_max,
        )
        for route in fleet.routes
        if slot in fleet.pools[route.pool]
    )
