"""`tokenmill engines list|add|remove|drain|undrain|assign`: tables for people, `--json` for
programs.

Control is asked, for it alone knows what the engines answer now; so the house has to be up.
"""

import time
from urllib.parse import quote

import click

from tokenmill.clock import monotonic_ms
from tokenmill.configuration.command_line import common_options, print_json
from tokenmill.control_client import ControlClient
from tokenmill.engines.command_line import asked_control
from tokenmill.engines.views import AddEngine, Assignment, ChosenEngine, EngineList, EngineView

LOOK_S = 0.1
"""Between looks at an engine that drains."""

_WAIT = "Seconds to wait until it has finished; longer is an error."


@click.group("engines")
def engines() -> None:
    """The engines of this house: list, add, drain them, give one to an account.

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
    with asked_control(config, state) as control:
        found = control.get("/control/engines", EngineList).data
    _print(found, as_json)


@engines.command("add")
@click.argument("url")
@click.option("--name", default="", help="What it is called; else its host and port.")
@click.option("--api-key", default="", help="The key that it asks for.")
@common_options
def add(
    *,
    url: str,
    name: str,
    api_key: str,
    as_json: bool,
    config: str | None,
    state: str | None,
) -> None:
    """Use the engine at URL from now on; a restart changes nothing about it.

    \b
    Example:
      tokenmill engines add http://10.0.0.7:8000
    """
    with asked_control(config, state) as control:
        wish = AddEngine(url, name, api_key)
        _print([control.post("/control/engines", wish, EngineView)], as_json)


@engines.command("remove")
@click.argument("engine")
@common_options
def remove(engine: str, as_json: bool, config: str | None, state: str | None) -> None:
    """Use ENGINE, by name or URL, no more. It has to have been added; drain it first."""
    _change("remove", engine, as_json, config, state)


@engines.command("drain")
@click.argument("engine")
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), default=0, help=_WAIT)
@common_options
def drain(
    *, engine: str, wait_s: float, as_json: bool, config: str | None, state: str | None
) -> None:
    """Send ENGINE, by name or URL, no new requests; what it has begun it finishes.

    \b
    Example:
      tokenmill engines drain http://10.0.0.7:8000 --wait 600 && systemctl restart vllm
      tokenmill engines undrain http://10.0.0.7:8000
    """
    with asked_control(config, state) as control:
        changed = control.post("/control/engines/drain", ChosenEngine(engine), EngineView)
        ends_s = monotonic_ms() / 1000 + wait_s
        left = changed.in_flight if wait_s else 0
        while wait_s and (left := _left(control, changed.name)) and monotonic_ms() / 1000 < ends_s:
            time.sleep(LOOK_S)
    if left:
        raise click.ClickException(f"{changed.name} still works on {left} requests")
    _print([changed], as_json)


@engines.command("undrain")
@click.argument("engine")
@common_options
def undrain(engine: str, as_json: bool, config: str | None, state: str | None) -> None:
    """Send ENGINE new requests again."""
    _change("undrain", engine, as_json, config, state)


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
    with asked_control(config, state) as control:
        path = f"/control/engines/{quote(engine, safe='')}/assign"
        changed = control.post(path, Assignment(account), EngineView)
    _print([changed], as_json)


def _change(what: str, engine: str, as_json: bool, config: str | None, state: str | None) -> None:
    with asked_control(config, state) as control:
        changed = control.post(f"/control/engines/{what}", ChosenEngine(engine), EngineView)
    _print([changed], as_json)


def _left(control: ControlClient, name: str) -> int:
    """Requests that the engine has, seen twice: one may just be on its way there."""
    seen = []
    for _ in range(2):
        time.sleep(LOOK_S)
        views = control.get("/control/engines", EngineList).data
        seen.append(sum(view.in_flight for view in views if view.name == name))
    return max(seen)


def _print(found: list[EngineView], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    from tokenmill.engines.shown import print_engines

    print_engines(found)
