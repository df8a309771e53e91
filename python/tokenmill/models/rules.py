"""From what the engines said to the fleet that workers route by: pure.

Control's keeper calls it after every change. A fleet is consistent by construction: each route has
a pool, each pool has serving engines, each alias ends at a route.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from tokenmill.adapters.rules import Adapter, is_same
from tokenmill.engines.recognition import EngineKind, EngineState, ServedModel, Task
from tokenmill.models.fleet import AbsentModel, Engine, Fleet, Route

CHAT_ALIASES = ("meta-llama/Llama-3.1-8B-Instruct", "your-model-id")
"""Ids that the published examples use; on the embedded engine they mean its chat model."""

EMBEDDING_ALIASES = (
    "text-embedding-ada-002",
    "text-embedding-3-small",
    "text-embedding-3-large",
)
"""OpenAI's ids, which clients and their libraries send by default."""

ALIAS_STEPS_MAX = 8


class EngineReport(Struct, frozen=True, kw_only=True):
    """One engine as control knows it now; `account_id` 0 is an engine for everyone."""

    name: str
    url: str
    kind: EngineKind
    state: EngineState
    version: str = ""
    api_key: str = ""
    account_id: int = 0
    parses_tools: bool = True
    places: int = 0
    is_draining: bool = False
    models: tuple[ServedModel, ...] = ()
    last_models: tuple[ServedModel, ...] = ()  # what it served last, if it comes back


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
) -> Fleet:
    """The fleet of these engines, with the generation of the previous one.

    `reports` come in the order of preference. Routes of vLLM and named engines stand before those
    of the embedded engine, so `auto` means the embedded engine only where there is no other.
    `adapters` have a route wherever their base has one, with the engines that hold them.
    `lost`: engines that nobody removed and that are in no list any more.
    """
    adapters = adapters or {}
    slots = assign_slots([report.name for report in reports], slots_of(previous, engines_max))
    placed = [report for report in reports if report.name in slots]
    ranked = sorted(placed, key=lambda report: report.kind == "embedded")
    offers = _offers(ranked, adapters)
    return Fleet(
        generation=previous.generation,
        engines=tuple(_engine(report, slots[report.name]) for report in placed),
        pools=tuple(tuple(slots[name] for name in offer.engines) for offer in offers),
        routes=tuple(_route(offer, pool) for pool, offer in enumerate(offers)),
        aliases=_aliases(aliases, offers),
        absent=_absent([*ranked, *lost], aliases, adapters, offers),
    )


class _Offer(Struct, frozen=True):
    """A model for an account (0: everyone), and the engines that serve it."""

    model: ServedModel
    account_id: int
    kind: EngineKind
    engines: list[str]
    is_loadable: bool = False


def _offers(ranked: Sequence[EngineReport], adapters: Mapping[str, Adapter]) -> list[_Offer]:
    offers: dict[tuple[int, str], _Offer] = {}
    for report in ranked:
        if not _takes(report):
            continue
        for model in _models(report, adapters):
            key = (report.account_id, model.id)
            first = _Offer(model, report.account_id, report.kind, [])
            offer = offers.setdefault(key, first)
            if report.name not in offer.engines and _is_same(offer, report, model):
                offer.engines.append(report.name)
                offers[key] = replace(offer, model=_narrower(offer.model, model))
    return _with_adapters(list(offers.values()), ranked, adapters)


def _models(report: EngineReport, adapters: Mapping[str, Adapter]) -> list[ServedModel]:
    """What an engine offers: nothing by an adapter's name that is not that adapter."""
    named = ((model, adapters.get(model.id)) for model in report.models)
    return [
        model
        for model, adapter in named
        if adapter is None or is_same(adapter, model, report.models)
    ]


def _with_adapters(
    offers: list[_Offer], ranked: Sequence[EngineReport], adapters: Mapping[str, Adapter]
) -> list[_Offer]:
    """The offers, with every adapter whose base is offered by engines that load adapters."""
    if not adapters:
        return offers
    kinds = {report.name: report.kind for report in ranked}
    bases = {
        (offer.account_id, offer.model.id): offer
        for offer in offers
        if not offer.model.parent and any(kinds[name] != "openai" for name in offer.engines)
    }
    found = {(offer.account_id, offer.model.id): offer for offer in offers}
    for adapter in adapters.values():
        for (account_id, base), offer in bases.items():
            if base != adapter.base or offer.model.task != "generate":
                continue
            model = replace(offer.model, id=adapter.name, parent=base, created=adapter.created)
            key = (account_id, adapter.name)
            held = found[key].engines if key in found else []
            engines = [name for name in held if name in offer.engines]
            found[key] = _Offer(model, account_id, offer.kind, engines, is_loadable=True)
    return list(found.values())


def _takes(report: EngineReport) -> bool:
    return report.state == "serving" and not report.is_draining


def _absent(
    ranked: Sequence[EngineReport],
    aliases: Mapping[str, str],
    adapters: Mapping[str, Adapter],
    offers: Sequence[_Offer],
) -> tuple[AbsentModel, ...]:
    """What would be served if nobody were drained or away, and is not."""
    draining = {report.name for report in ranked if report.state == "serving"}
    whole = _offers([_as_it_was(report) for report in ranked], adapters)
    served = {(offer.account_id, offer.model.id) for offer in offers}
    gone = [
        AbsentModel(
            offer.account_id, offer.model.id, not draining.isdisjoint(_engines_of(offer, whole))
        )
        for offer in whole
        if (offer.account_id, offer.model.id) not in served
    ]
    named = {offer.model.id for offer in whole}
    gone += [AbsentModel(0, name, is_draining=False) for name in adapters if name not in named]
    public = {each.name: each for each in gone if not each.account_id}
    ends = _aliases(aliases, whole).items()
    return (*gone, *(replace(public[end], name=name) for name, end in ends if end in public))


def _engines_of(offer: _Offer, offers: Sequence[_Offer]) -> list[str]:
    """Who could serve it: of an adapter that is loaded where it is needed, its base's engines."""
    if not offer.is_loadable:
        return offer.engines
    key = (offer.account_id, offer.model.parent)
    return next(one.engines for one in offers if (one.account_id, one.model.id) == key)


def _as_it_was(report: EngineReport) -> EngineReport:
    models = report.models or report.last_models
    return replace(report, state="serving", is_draining=False, models=models)


def _narrower(one: ServedModel, other: ServedModel) -> ServedModel:
    """The first with the shorter context of both: a request may go to either engine."""
    known = [m.context_tokens_max for m in (one, other) if m.context_tokens_max]
    return replace(one, context_tokens_max=min(known, default=0))


def _is_same(offer: _Offer, report: EngineReport, model: ServedModel) -> bool:
    """One pool mixes no demo with the real thing, no adapter with a whole model."""
    is_mixed = (offer.kind == "embedded") != (report.kind == "embedded")
    return not is_mixed and (offer.model.task, offer.model.parent) == (model.task, model.parent)


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
        last_models=() if _takes(report) else report.last_models,
    )


def _route(offer: _Offer, pool: int) -> Route:
    model = offer.model
    return Route(
        id=model.id,
        task=model.task,
        pool=pool,
        engine_model=model.id,
        created=model.created,
        owned_by=model.owned_by or offer.kind,
        kind="dedicated" if offer.account_id else "factory",
        account_id=offer.account_id,
        context_tokens_max=model.context_tokens_max,
        parent=model.parent,
        is_loadable=offer.is_loadable,
    )


def _aliases(settings: Mapping[str, str], offers: Sequence[_Offer]) -> dict[str, str]:
    wanted = _default_aliases(offers) | dict(settings)
    real = {offer.model.id for offer in offers}
    public = {offer.model.id for offer in offers if not offer.account_id}
    found = {name: _end_of(name, wanted, real) for name in wanted if name not in public}
    return {name: end for name, end in found.items() if end}


def _default_aliases(offers: Sequence[_Offer]) -> dict[str, str]:
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


def _is_embedded(offer: _Offer, task: Task) -> bool:
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
