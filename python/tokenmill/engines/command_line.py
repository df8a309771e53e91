"""What commands share that ask the running house: where it is, and what goes wrong in words."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from tokenmill.configuration.files import load
from tokenmill.control_client import ControlAway, ControlClient, ControlRefused
from tokenmill.state_folder import control_socket


@contextmanager
def asked_control(config: str | None, state: str | None) -> Iterator[ControlClient]:
    """Control of the state folder; what goes wrong ends the command with words."""
    folder = load(config, {"state": state}).settings.state
    try:
        yield ControlClient(control_socket(folder))
    except ControlAway as error:
        words = f"no tokenmill runs on {folder}; start one with `tokenmill up`"
        raise click.ClickException(words) from error
    except ControlRefused as error:
        raise click.ClickException(str(error)) from error
