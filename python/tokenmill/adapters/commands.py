"""`tokenmill adapters list|add|remove`: asks the running tokenmill, as `tokenmill engines` does."""

import click

from tokenmill.adapters.views import AdapterList, AdapterView, AddAdapter, ChosenAdapter
from tokenmill.configuration.command_line import common_options, print_json
from tokenmill.engines.command_line import asked_control

_PATH = "/control/dashboard/adapters"


@click.group("adapters")
def adapters() -> None:
    """LoRA adapters: name, list and remove them.

    An adapter is a model of its own to clients. It is loaded on an engine of its base model when
    the first request for it comes, and moves when that engine is drained.
    """


@adapters.command("list")
@common_options
def list_adapters(as_json: bool, config: str | None, state: str | None) -> None:
    """Show the adapters and the engines that hold them."""
    with asked_control(config, state) as control:
        found = control.get(_PATH, AdapterList).data
    _print(found, as_json)


@adapters.command("add")
@click.argument("name")
@click.option("--base", required=True, help="The model that it was trained on, by its id.")
@click.option("--path", required=True, help="Its folder, as engines see it; begins with a slash.")
@click.option("--account", help="The only account that sees it; without this all do.")
@common_options
def add(
    *,
    name: str,
    base: str,
    path: str,
    account: str | None,
    as_json: bool,
    config: str | None,
    state: str | None,
) -> None:
    """Serve the adapter at PATH as the model NAME from now on.

    \b
    Examples:
      tokenmill adapters add support-bot --base meta-llama/Llama-3.1-8B --path /adapters/support
      tokenmill adapters add acme-bot --base my-model --path /adapters/acme --account acme
    """
    with asked_control(config, state) as control:
        wish = AddAdapter(name, base, path, account)
        _print([control.post(_PATH, wish, AdapterView)], as_json)


@adapters.command("remove")
@click.argument("name")
@common_options
def remove(name: str, as_json: bool, config: str | None, state: str | None) -> None:
    """Serve the adapter NAME no more; its files stay where they are."""
    with asked_control(config, state) as control:
        _print([control.post(f"{_PATH}/remove", ChosenAdapter(name), AdapterView)], as_json)


def _print(found: list[AdapterView], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    from tokenmill.adapters.shown import print_adapters

    print_adapters(found)
