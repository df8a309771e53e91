"""The command line: `tokenmill up` and what is beside it. Builds the settings and passes them down.

Each command's module is imported when that command runs: `--help`, `--version` and the start of a
house wait for no library they do not use.
"""

import importlib
import os
import sys
from collections.abc import Mapping

import click

from tokenmill import __version__
from tokenmill.configuration.problems import SettingsError

COMMANDS: Mapping[str, tuple[str, str, str]] = {
    # name: module, attribute, the line in --help (so that --help imports none of them)
    "up": ("tokenmill.commands.house", "up", "Serve the API, with an engine of its own if needed."),
    "serve": ("tokenmill.commands.house", "serve", "Serve the API; start no engine."),
    "reload": (
        "tokenmill.commands.reload",
        "reload",
        "Take over changed settings without losing a request.",
    ),
    "keys": ("tokenmill.keys.commands", "keys", "Create, list, rotate and revoke API keys."),
    "accounts": ("tokenmill.accounts.commands", "accounts", "Make, list and change accounts."),
    "limits": ("tokenmill.accounts.commands", "limits", "Show the limits in force."),
    "wallet": ("tokenmill.billing.commands", "wallet", "Show wallets; add funds; refund."),
    "usage": ("tokenmill.usage.commands", "usage", "Show usage and what it cost."),
    "request": ("tokenmill.usage.commands", "request", "Show the life of a request."),
    "ledger": ("tokenmill.billing.commands", "ledger", "Check that the books are right."),
    "engines": ("tokenmill.engines.commands", "engines", "List engines; give one to an account."),
    "adapters": ("tokenmill.adapters.commands", "adapters", "Name, list and remove LoRA adapters."),
    "join": ("tokenmill.engines.join_command", "join", "Register an engine with gateways."),
    "grammar": ("tokenmill.grammar.commands", "grammar", "Compile JSON Schemas to grammars."),
    "metrics": ("tokenmill.commands.metrics", "metrics", "Print a dashboard for Grafana."),
    "config": ("tokenmill.configuration.commands", "config_group", "Show settings and origins."),
    "doctor": ("tokenmill.commands.doctor", "doctor", "Say what is wrong and what to do."),
    "completion": (
        "tokenmill.commands.completion",
        "completion",
        "Print a shell's completion script.",
    ),
}

EXAMPLES = """\b
Start here:
  tokenmill up                                   # the API on http://127.0.0.1:8080
  tokenmill up --model HuggingFaceTB/SmolLM2-135M-Instruct
  tokenmill up --engine http://10.0.0.5:8000     # in front of a vLLM you have
  tokenmill doctor                               # what is wrong, what to do
"""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][:2]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from tokenmill.configuration.sources import nearest

            hint = nearest(name, iter(COMMANDS))
            ctx.fail(f"there is no command {name!r}{hint or '.'} `tokenmill --help` lists them.")
        return super().resolve_command(ctx, args)

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


@click.command(
    cls=LazyGroup,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="tokenmill %(version)s")
def cli() -> None:
    """tokenmill: vLLM engines as a metered, multi-tenant, OpenAI-compatible API."""


def main() -> None:
    """The console script. Wrong settings and refusals are one message and exit status 1 or 2."""
    keep_standard_descriptors()
    try:
        cli(prog_name="tokenmill")
    except SettingsError as error:
        for problem in error.problems:
            click.echo(f"tokenmill: {problem}", err=True)
        sys.exit(2)


def keep_standard_descriptors() -> None:
    """Opens 0, 1 and 2 if the caller closed them: else a socket would take such a number, and what
    is meant for a terminal would go to a client."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


if __name__ == "__main__":
    main()
