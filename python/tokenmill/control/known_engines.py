"""What the keeper remembers of a target, and what a look at one means to the house."""

import asyncio
import logging

from msgspec import Struct, field

from tokenmill.engines.load_report import LoadReport
from tokenmill.engines.recognition import Sighting
from tokenmill.engines.rules import Watch
from tokenmill.engines.targets import Target
from tokenmill.models.fleet import Fleet
from tokenmill.models.rules import models_on

logger = logging.getLogger("tokenmill.control.keeper")


class Known(Struct, kw_only=True, eq=False):
    """A target and what is remembered of it."""

    target: Target
    watch: Watch
    is_listed: bool  # an address that was merely tried is an engine once one answered there
    is_looked_at: bool = False
    load_looked_ms: int = 0
    load: LoadReport | None = None  # what it last said of its load
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # of looks: the later one counts


def as_wanted(target: Target, found: Sighting) -> Sighting:
    """An address that was merely tried has to be a vLLM; others are what they say."""
    if target.origin != "found" or found.kind == "vllm":
        return found
    if found.outcome not in ("serving", "loading"):
        return found
    return Sighting(outcome="foreign", detail="answers, and is not a vLLM")


def is_awaited(known: Known) -> bool:
    """Whether the first fleet would be a wrong one without a look at this target."""
    if not known.is_looked_at:
        return True
    return known.target.is_embedded and known.watch.state == "loading"


def log_change(target: Target, before: Watch, after: Watch, found: Sighting) -> None:
    """Says what a look changed."""
    extra = {"engine": target.name, "url": target.address.url}
    if before.state != after.state:
        level = logging.WARNING if after.state == "gone" and before.has_served else logging.INFO
        detail = {"detail": after.detail} if after.detail else {}
        logger.log(level, "engine is %s", after.state, extra=extra | detail)
    elif found.outcome == "locked" and before.detail != after.detail:
        logger.warning("an engine asks for an API key: name it in `engines`", extra=extra)


def known_of(target: Target, previous: Fleet, now_ms: int) -> Known:
    """A target as an earlier control left it: an engine that is busy now keeps its place."""
    is_listed = target.origin != "found"
    place = (target.name, target.address.url)
    engine = next((one for one in previous.engines if (one.name, one.url) == place), None)
    if engine is None:
        last = Sighting(outcome="refused", kind=target.kind)
        return Known(target=target, watch=Watch(last=last), is_listed=is_listed)
    last = Sighting(
        outcome="serving",
        kind=engine.kind,
        version=engine.version,
        models=models_on(previous, engine.slot),
        parses_tools=engine.parses_tools,
    )
    remembered = Watch(
        state=engine.state,
        last=last,
        has_served=engine.state == "serving" or bool(engine.version),
        since_ms=now_ms,
        answered_ms=now_ms,
    )
    return Known(target=target, watch=remembered, is_listed=True)
