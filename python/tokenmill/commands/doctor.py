"""`tokenmill doctor`: one line for each thing that can be wrong, and what to do about it."""

import sys

import click
import msgspec

from tokenmill.configuration.files import load
from tokenmill.doctor.facts import examine
from tokenmill.doctor.verdicts import Verdict, exit_status

_STYLE = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command()
@click.option("--config", metavar="FILE", help="A TOML file of settings.")
@click.option("--state", metavar="DIR", help="The state folder to look at.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(config: str | None, state: str | None, as_json: bool) -> None:
    """Look at engines, database, ports, limits, clock, versions and files; say what is wrong and
    what to do. Exit status 1 if something fails. Changes nothing.

    \b
    Examples:
      tokenmill doctor
      tokenmill doctor --json
    """
    found = examine(load(config, {"state": state}).settings)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
    else:
        _print_table(found)
    sys.exit(exit_status(found))


def _print_table(found: list[Verdict]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for verdict in found:
        words = Text(verdict.found)
        if verdict.advice:
            words.append(f"\n→ {verdict.advice}", style="bold")
        table.add_row(Text(verdict.level, style=_STYLE[verdict.level]), verdict.check, words)
    Console(highlight=False).print(table)
