"""What commands that ask control or the database share: who answers, and refusals in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from tokenmill.accounts.answerer import StateBusy, find_answerer
from tokenmill.configuration.files import load
from tokenmill.configuration.problems import SettingsError
from tokenmill.control_client import ControlAway, ControlClient, ControlRefused
from tokenmill.errors import ApiError
from tokenmill.settings import Settings

if TYPE_CHECKING:
    from tokenmill.database.connection import Database


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
