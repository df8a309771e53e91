"""Engines as people see them on a terminal. Loads rich, so commands import it when they print."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tokenmill.engines.views import EngineView

MODELS_MAX = 6
"""Of one engine, before the rest is only counted: adapters can be many."""

_STYLES = {"serving": "", "loading": "yellow", "gone": "dim"}


def print_engines(found: Sequence[EngineView]) -> None:
    """A table of 80 columns in the order of preference; what does not serve says why. An engine
    that is not called by its address has that below its name."""
    console = Console(highlight=False, markup=False)
    if not found:
        console.print("No engine. Start a vLLM on port 8000, or name one with --engine URL.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("engine", "state", "kind", "models", "account"):
        table.add_column(title, overflow="fold", no_wrap=title != "models")
    for engine in found:
        table.add_row(
            shown_name(engine),
            shown_state(engine),
            " ".join(filter(None, (engine.kind, engine.version))),
            shown_models(engine),
            engine.account or "everyone",
            style=_STYLES[engine.state],
        )
    console.print(table)


def shown_name(engine: EngineView) -> str:
    """What it is called, and where it is if that says something else."""
    return "\n".join(dict.fromkeys((engine.name, engine.url.removeprefix("http://"))))


def shown_state(engine: EngineView) -> str:
    """The state, and what keeps new requests away from an engine that serves."""
    if engine.state != "serving":
        return engine.state
    if engine.is_draining:
        return f"draining, {engine.in_flight} left"
    return f"serving, {engine.fault}" if engine.fault else "serving"


def shown_models(engine: EngineView) -> str:
    """The first models, or why there are none."""
    if engine.state != "serving" or not engine.models:
        return engine.detail or "-"
    rest = len(engine.models) - MODELS_MAX
    more = [f"and {rest} more"] if rest > 0 else []
    return "\n".join([*engine.models[:MODELS_MAX], *more])
