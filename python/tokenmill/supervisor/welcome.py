"""The first words of a house that serves: a panel on a terminal, one log line elsewhere.

Shown when the fleet is known, and never waited for: requests are served before it is drawn. rich is
imported only then, so that it costs no start-up time.
"""

import logging
import os
import sys
from pathlib import Path

from tokenmill.clock import monotonic_ms
from tokenmill.models.fleet import Engine, Fleet
from tokenmill.models.fleet_file import read_fleet
from tokenmill.settings import Settings
from tokenmill.supervisor.house import House

PATIENCE_MS = 10_000
"""Then it is shown without models: no engine was found, or its model is still loading."""

logger = logging.getLogger("tokenmill.supervisor")


class Welcome:
    """Shows once where the house is reached. `show` is called until it returns True."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._since_ms = 0

    def show(self, house: House, url: str) -> bool:
        """Whether it was shown: not before there are models, or the patience is over."""
        now_ms = monotonic_ms()
        self._since_ms = self._since_ms or now_ms
        is_known = house.knows_fleet()
        fleet = read_fleet(self._settings.state) if is_known else Fleet()
        is_expecting = not is_known or fleet.is_loading() or house.equipment.engine is not None
        if not fleet.routes and is_expecting and now_ms - self._since_ms < PATIENCE_MS:
            return False
        show = _print_panel if sys.stdout is not None and sys.stdout.isatty() else _log
        try:
            show(url, self._settings.state, models_by_engine(fleet))
        except OSError as error:  # no room for the key, or the terminal went away
            logger.warning("serving, and could not say where", extra={"error": str(error)})
        return True


def models_by_engine(fleet: Fleet) -> list[tuple[str, str]]:
    """(model, what serves it) for each route, in order."""
    slots = {engine.slot: engine for engine in fleet.engines}
    rows = []
    for route in fleet.routes:
        behind = [slots[slot] for slot in fleet.pools[route.pool] if slot in slots]
        rows.append((route.id, ", ".join(map(_described, behind))))
    return rows


def _described(engine: Engine) -> str:
    """`embedded 0.9.5`, or `vllm 0.11.0 at http://10.0.0.5:8000`."""
    what = f"{engine.kind} {engine.version}".strip()
    return what if engine.kind == "embedded" else f"{what} at {engine.url}"


def curl_lines(url: str, secret: str) -> str:
    """A shell command that gets an answer, safe to paste: no line is broken at 80 columns."""
    return (
        f"curl {url}/v1/chat/completions \\\n"
        f"-H 'Authorization: Bearer {secret}' \\\n"
        "-H 'Content-Type: application/json' \\\n"
        """-d '{"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}'"""
    )


def _log(url: str, state: Path, served: list[tuple[str, str]]) -> None:
    from tokenmill.keys.local_secret import ensure_local_secret, local_key_path

    ensure_local_secret(state)
    fields = {
        "url": url,
        "models": dict(served),
        "local_key": str(local_key_path(state)),
        "docs": f"{url}/docs",
    }
    logger.info("serving", extra=fields)


def _print_panel(url: str, state: Path, served: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    from tokenmill import __version__
    from tokenmill.keys.local_secret import ensure_local_secret

    secret = ensure_local_secret(state)
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    rows.add_row("Base URL", Text(f"{url}/v1", style="bold cyan"))
    rows.add_row("API key", Text(secret, style="green"))
    for number, (model, engine) in enumerate(served):
        line = Text.assemble((model, "bold"), ("  on ", "dim"), engine)
        rows.add_row("Models" if number == 0 else "", line)
    if not served:
        rows.add_row("Models", Text("none yet; a vLLM that appears is found", style="yellow"))
    rows.add_row("Docs", f"{url}/docs")
    rows.add_row("Data", str(state))
    title = Text.assemble(("tokenmill", "bold"), f" {__version__}")
    console = Console(highlight=False, markup=False)
    console.print(Panel(rows, title=title, title_align="left", border_style="cyan", expand=False))
    # Outside of the frame, and not by rich: a pasted line must hold nothing but the command.
    sys.stdout.write(f"\nTry it:\n\n{curl_lines(url, secret)}\n\nCtrl-C ends it.{os.linesep}\n")
    sys.stdout.flush()
