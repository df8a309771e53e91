"""Keys as people see them on a terminal. Loads rich, so commands import it when they print."""

import time

from rich.console import Console
from rich.table import Table

from tokenmill import clock
from tokenmill.keys.durations import span_text
from tokenmill.keys.rules import Scope
from tokenmill.keys.views import KeyView, MadeKey

PEOPLES_WORDS = ("name", "account", "scopes")
"""Columns that may be long, and fold; what identifies a key stays whole."""


def print_keys(found: list[KeyView]) -> None:
    """A table of 80 columns, oldest first; what opens nothing is dim."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("id", justify="right")
    for title in ("name", "key", "account", "state", "scopes", "made"):
        table.add_column(title, overflow="fold", no_wrap=title not in PEOPLES_WORDS)
    now_s = clock.wall_s()
    for key in found:
        table.add_row(
            str(key.id),
            key.name,
            key.shown,
            key.account,
            state_text(key, now_s),
            "all" if len(key.scopes) == len(Scope) else ", ".join(key.scopes),
            time.strftime("%Y-%m-%d", time.localtime(key.created_at_s)),
            style="" if key.state == "live" else "dim",
        )
    _console().print(table)


def print_made(made: MadeKey) -> None:
    """The secret, on a line of its own, and what to know about it."""
    console = _console()
    console.print(f"\nKey {made.key.id} ({made.key.name}) for account {made.key.account}:\n")
    console.print(f"  {made.secret}\n", style="bold", soft_wrap=True)
    console.print("It is shown this once: keep it now. Use it as OPENAI_API_KEY, or:")
    console.print("  Authorization: Bearer <key>\n", style="cyan")


def state_text(key: KeyView, now_s: int) -> str:
    """`live`, `expired`, `revoked`, or how long it still opens."""
    if key.state == "live" and key.expires_at_s:
        return f"{span_text(key.expires_at_s - now_s)} left"
    return key.state


def _console() -> Console:
    return Console(highlight=False, markup=False)
