"""Which models the engines offer to whom: pure, on the way from their reports to the fleet.

An engine of an account offers its models to that account alone, and what the account has of its own
nobody else serves for it: while its engine is away the model is absent, and not somebody else's.
"""

from collections.abc import Container, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from tokenmill.adapters.rules import PRIVATE, Adapter, is_held, is_same
from tokenmill.engines.recognition import EngineKind, EngineState, ServedModel
from tokenmill.models.fleet import Fleet


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


class Offer(Struct, frozen=True):
    """A model for an account (0: everyone), and the engines that serve it."""

    model: ServedModel
    account_id: int
    kind: EngineKind
    engines: list[str]
    is_dedicated: bool  # the engines are the account's
    engine_model: str = ""  # where engines know it by another name
    base_engines: tuple[str, ...] = ()  # of an adapter that is loaded where it is needed

    @property
    def is_loadable(self) -> bool:
        """Whether it is an adapter that can be loaded where nobody holds it."""
        return bool(self.engine_model)

    @property
    def hosts(self) -> Sequence[str]:
        """Who could serve it."""
        return self.base_engines if self.is_loadable else self.engines


def offers_now(
    ranked: Sequence[EngineReport], adapters: Mapping[str, Adapter], whole: Sequence[Offer]
) -> list[Offer]:
    """What can be asked for now; `whole`: what could be, if nobody were away."""
    taking = [report for report in ranked if takes_requests(report)]
    return _with_adapters(_offers(taking, adapters), taking, adapters, _owned(whole))


def whole_offers(
    ranked: Sequence[EngineReport], owed: Sequence[Offer], adapters: Mapping[str, Adapter]
) -> list[Offer]:
    """What could be asked for if nobody were drained or away. `owed`: by engines that are in no
    list."""
    reports = [_as_it_was(report) for report in ranked]
    offers = _offers(reports, adapters)
    known = {(offer.account_id, offer.model.id) for offer in offers}
    offers += [offer for offer in owed if (offer.account_id, offer.model.id) not in known]
    return _with_adapters(offers, reports, adapters, _owned(offers))


def owed_offers(previous: Fleet, accounts: Container[int]) -> list[Offer]:
    """What these accounts had on engines of their own by the fleet before."""
    had = {
        (route.account_id, route.id): ServedModel(route.id, route.task)
        for route in previous.routes
        if route.kind == "dedicated" and not route.parent
    }
    had |= {
        (each.account_id, each.name): ServedModel(each.name, each.task)
        for each in previous.absent
        if each.account_id and not each.is_adapter and not each.is_alias
    }
    return [
        Offer(model, account_id, "vllm", [], is_dedicated=True)
        for (account_id, _), model in had.items()
        if account_id in accounts
    ]


def takes_requests(report: EngineReport) -> bool:
    """Whether new requests may go to the engine."""
    return report.state == "serving" and not report.is_draining


def _owned(offers: Sequence[Offer]) -> frozenset[tuple[int, str]]:
    return frozenset((each.account_id, each.model.id) for each in offers if each.is_dedicated)


def _offers(reports: Sequence[EngineReport], adapters: Mapping[str, Adapter]) -> list[Offer]:
    offers: dict[tuple[int, str], Offer] = {}
    for report in reports:
        for model in _models(report, adapters):
            key = (report.account_id, model.id)
            is_dedicated = report.account_id != 0
            first = Offer(model, report.account_id, report.kind, [], is_dedicated)
            offer = offers.setdefault(key, first)
            if report.name not in offer.engines and _is_same(offer, report, model):
                offer.engines.append(report.name)
                offers[key] = replace(offer, model=_narrower(offer.model, model))
    return list(offers.values())


def _models(report: EngineReport, adapters: Mapping[str, Adapter]) -> Iterator[ServedModel]:
    """What an engine offers: nothing by an adapter's name that is not that adapter, and nothing of
    an account's by the name that only engines know."""
    for model in report.models:
        adapter = adapters.get(model.id)
        is_own = adapter is None or adapter.account_id or is_same(adapter, model, report.models)
        if is_own and not model.id.startswith(PRIVATE):
            yield model


def _with_adapters(
    offers: list[Offer],
    reports: Sequence[EngineReport],
    adapters: Mapping[str, Adapter],
    owned: Container[tuple[int, str]],
) -> list[Offer]:
    """The offers, with every adapter whose base is offered by engines that load adapters."""
    if not adapters:
        return offers
    by_name = {report.name: report for report in reports}
    bases = [offer for offer in offers if _loads_adapters(offer, by_name)]
    found = {(offer.account_id, offer.model.id): offer for offer in offers}
    for adapter in adapters.values():
        for offer in bases:
            account_id = _account_of(adapter, offer, owned)
            if account_id is None:
                continue
            model = replace(
                offer.model, id=adapter.name, parent=adapter.base, created=adapter.created
            )
            engines = [name for name in offer.engines if is_held(adapter, by_name[name].models)]
            found[account_id, adapter.name] = Offer(
                model,
                account_id,
                offer.kind,
                engines,
                offer.is_dedicated,
                engine_model=adapter.engine_name,
                base_engines=tuple(offer.engines),
            )
    return list(found.values())


def _loads_adapters(offer: Offer, reports: Mapping[str, EngineReport]) -> bool:
    if offer.model.parent or offer.model.task != "generate":
        return False
    kinds = [reports[name].kind for name in offer.engines] or [offer.kind]
    return any(kind != "openai" for kind in kinds)


def _account_of(adapter: Adapter, base: Offer, owned: Container[tuple[int, str]]) -> int | None:
    """The account that is offered the adapter on these engines (0: everyone); None: nobody is.

    An account's own adapter runs on the account's own engines, if it has such of its base.
    """
    if base.model.id != adapter.base:
        return None
    if not adapter.account_id:
        return base.account_id
    home = adapter.account_id if (adapter.account_id, adapter.base) in owned else 0
    return adapter.account_id if base.account_id == home else None


def _as_it_was(report: EngineReport) -> EngineReport:
    models = report.models or report.last_models
    return replace(report, state="serving", is_draining=False, models=models)


def _narrower(one: ServedModel, other: ServedModel) -> ServedModel:
    """The first with the shorter context of both: a request may go to either engine."""
    known = [m.context_tokens_max for m in (one, other) if m.context_tokens_max]
    return replace(one, context_tokens_max=min(known, default=0))


def _is_same(offer: Offer, report: EngineReport, model: ServedModel) -> bool:
    """One pool mixes no demo with the real thing, no adapter with a whole model."""
    is_mixed = (offer.kind == "embedded") != (report.kind == "embedded")
    return not is_mixed and (offer.model.task, offer.model.parent) == (model.task, model.parent)
