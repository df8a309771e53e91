"""`tokenmill config show|template`: what is in force and where it came from."""

import sys
from typing import Any

import click
import msgspec

from tokenmill.configuration.command_line import print_json
from tokenmill.configuration.files import load
from tokenmill.configuration.shown import Row, rows, template


@click.group("config")
def config_group() -> None:
    """Show the settings in force, or print a file to start from."""


@config_group.command("show")
@click.option("--config", metavar="FILE", help="A TOML file of settings.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--changed", is_flag=True, help="Only what differs from the defaults.")
def show(config: str | None, as_json: bool, changed: bool) -> None:
    """Print every setting with its value and where the value came from.

    \b
    Examples:
      tokenmill config show --changed
      TOKENMILL_PORT=9000 tokenmill config show --json
    """
    found = rows(load(config, {}))
    if changed:
        found = [row for row in found if row.source != "default"]
    if as_json:
        print_json(found)
    else:
        _print_table(found)


@config_group.command("template")
def print_template() -> None:
    """Print a TOML file with every setting, its default and what it takes.

    \b
    Example:
      tokenmill config template > ~/.config/tokenmill/config.toml
    """
    sys.stdout.write(template())


def _print_table(found: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("setting", "value", "source"):
        table.add_column(title, overflow="fold")
    for row in found:
        style = "" if row.source == "default" else "cyan"
        source = row.place or row.source
        table.add_row(row.setting, _text(row.value), source, style=style)
    Console(highlight=False, markup=False).print(table)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
