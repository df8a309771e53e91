"""What commands that ask control or the database share: options, refusals in words, JSON."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec

from tokenmill.accounts.answerer import StateBusy, find_answerer
from tokenmill.configuration.files import load
from tokenmill.configuration.problems import SettingsError
from tokenmill.control_client import ControlAway, ControlClient, ControlRefused
from tokenmill.errors import ApiError
from tokenmill.settings import Settings

if TYPE_CHECKING:
    from tokenmill.database.connection import Database

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


@contextmanager
def words_for_refusals() -> Iterator[None]:
    """What goes wrong ends the command with a sentence."""
    try:
        yield
    except (ControlRefused, SettingsError, StateBusy) as error:
        raise click.ClickException(str(error)) from error
    except ControlAway as error:
        raise click.ClickException(f"tokenmill went away: {error}. Try again.") from error
    except ApiError as error:
        raise click.ClickException(error.message) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'the state folder'}: {error}") from error


@contextmanager
def answered(
    config: str | None, state: str | None
) -> Iterator[tuple[Settings, "ControlClient | Database"]]:
    """The settings, and who answers under them."""
    with words_for_refusals():
        settings = load(config, {"state": state}).settings
        with find_answerer(settings) as answerer:
            yield settings, answerer


def print_json(value: object) -> None:
    """The value for programs."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")
