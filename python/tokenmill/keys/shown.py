"""Keys as people see them on a terminal. Loads rich, so commands import it when they print."""

import time

from rich.console import Console
from rich.table import Table

from tokenmill import clock
from tokenmill.keys.durations import span_text
from tokenmill.keys.rules import Scope
from tokenmill.keys.views import KeyView, MadeKey

_STYLES = {"live": "", "expired": "dim", "revoked": "dim"}


def print_keys(found: list[KeyView]) -> None:
    """A table, oldest first."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("id", justify="right")
    for title in ("name", "key", "account", "tier", "state", "scopes", "made", "expires"):
        # The words of people may be long; what identifies a key stays whole.
        table.add_column(title, overflow="fold", no_wrap=title not in ("name", "account", "scopes"))
    now_s = clock.wall_s()
    for key in found:
        table.add_row(
            str(key.id),
            key.name,
            key.shown,
            key.account,
            key.tier,
            key.state,
            "all" if len(key.scopes) == len(Scope) else ", ".join(key.scopes),
            _date(key.created_at_s),
            _expiry(key, now_s),
            style=_STYLES[key.state],
        )
    _console().print(table)


def print_made(made: MadeKey) -> None:
    """The secret, on a line of its own, and what to know about it."""
    console = _console()
    console.print(f"\nKey {made.key.id} ({made.key.name}) for account {made.key.account}:\n")
    console.print(f"  {made.secret}\n", style="bold", soft_wrap=True)
    console.print("It is shown this once: keep it now. Use it as OPENAI_API_KEY, or:")
    console.print("  Authorization: Bearer <key>\n", style="cyan")


def _expiry(key: KeyView, now_s: int) -> str:
    if not key.expires_at_s:
        return "never"
    if key.expires_at_s <= now_s:
        return _date(key.expires_at_s)
    return f"in {span_text(key.expires_at_s - now_s)}"


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


def _console() -> Console:
    return Console(highlight=False, markup=False)
