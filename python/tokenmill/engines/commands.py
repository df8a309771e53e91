"""`tokenmill engines list|assign`: tables for people, `--json` for programs.

Control is asked, for it alone knows what the engines answer now; so the house has to be up.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import click

from tokenmill.configuration.command_line import common_options, print_json
from tokenmill.configuration.files import load
from tokenmill.control_client import ControlAway, ControlClient, ControlRefused
from tokenmill.engines.views import Assignment, EngineList, EngineView
from tokenmill.state_folder import control_socket


@click.group("engines")
def engines() -> None:
    """List the engines of this house, and give one to an account.

    Asks the running tokenmill.
    """


@engines.command("list")
@common_options
def list_engines(as_json: bool, config: str | None, state: str | None) -> None:
    """Show the engines: where they are, what they serve, and whose they are.

    \b
    Example:
      tokenmill engines list
    """
    with _control(config, state) as control:
        found = control.get("/control/engines", EngineList).data
    _print(found, as_json)


@engines.command("assign")
@click.argument("engine")
@click.argument("account", required=False)
@click.option("--everyone", is_flag=True, help="Give it back: its models are for all accounts.")
@common_options
def assign(
    *,
    engine: str,
    account: str | None,
    everyone: bool,
    as_json: bool,
    config: str | None,
    state: str | None,
) -> None:
    """Give ENGINE to ACCOUNT: its models are then seen and used by that account alone.

    \b
    Examples:
      tokenmill engines assign vllm-8000 acme
      tokenmill engines assign vllm-8000 --everyone
    """
    if (account is None) != everyone:
        raise click.UsageError("name an account, or give --everyone")
    with _control(config, state) as control:
        path = f"/control/engines/{quote(engine, safe='')}/assign"
        changed = control.post(path, Assignment(account), EngineView)
    _print([changed], as_json)


def _print(found: list[EngineView], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    from tokenmill.engines.shown import print_engines

    print_engines(found)


@contextmanager
def _control(config: str | None, state: str | None) -> Iterator[ControlClient]:
    """Control of the state folder; what goes wrong ends the command with words."""
    folder = load(config, {"state": state}).settings.state
    try:
        yield ControlClient(control_socket(folder))
    except ControlAway:
        _fail(f"no tokenmill runs on {folder}; start one with `tokenmill up`")
    except ControlRefused as error:
        _fail(str(error))


def _fail(words: str) -> None:
    click.echo(f"tokenmill: {words}", err=True)
    sys.exit(1)
