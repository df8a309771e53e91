"""Adapters as people see them on a terminal. Loads rich, so commands import it when they print."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tokenmill.adapters.views import AdapterView


def print_adapters(found: Sequence[AdapterView]) -> None:
    """A table of 80 columns; what could not be loaded says why."""
    console = Console(highlight=False, markup=False)
    if not found:
        console.print("No adapter. Name one: tokenmill adapters add NAME --base MODEL --path DIR")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("adapter", "base", "account", "held by", "folder"):
        table.add_column(title, overflow="fold")
    for one in found:
        held = ", ".join(one.engines) or one.detail or "nobody yet"
        table.add_row(one.name, one.base, one.account or "everyone", held, one.path)
    console.print(table)
