"""What commands share whatever they do: where the house is, and how a program is answered."""

import sys
from collections.abc import Callable
from typing import TypeVar

import click
import msgspec

Command = TypeVar("Command", bound=Callable[..., None])


def common_options(command: Command) -> Command:
    """The options that each of these commands has."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="For programs."),
        click.option("--config", metavar="FILE", help="A TOML file of settings."),
        click.option("--state", metavar="DIR", help="The state folder."),
    ):
        command = option(command)
    return command


def print_json(value: object) -> None:
    """The value for programs."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")
