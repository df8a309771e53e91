"""`tokenmill reload`: asks the supervisor of a state folder to reload, and waits for its word."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable

import click

from tokenmill.configuration.files import load
from tokenmill.supervisor.state_lock import Holder, find_holder

WAIT_S = 90.0
_POLL_S = 0.05


@click.command()
@click.option("--config", metavar="FILE", help="A TOML file of settings.")
@click.option("--state", metavar="DIR", help="The state folder of the house.")
def reload(config: str | None, state: str | None) -> None:
    """Take over changed settings: workers are replaced one generation by the next, and no request
    is lost. The house reads its settings from where it read them when it started.

    \b
    Example:
      tokenmill reload
    """
    folder = load(config, {"state": state}).settings.state
    holder = find_holder(folder)
    if holder is None or not holder.pid:
        _fail(f"no tokenmill runs on {folder}; start one with `tokenmill up`")
        return
    try:
        os.kill(holder.pid, signal.SIGHUP)
    except OSError as error:
        _fail(f"cannot signal process {holder.pid}: {error.strerror}")
    after = _wait(lambda: find_holder(folder), holder)
    if after is None:
        _fail(f"process {holder.pid} did not finish the reload in time; its log says more")
    elif after.reload_error:
        _fail(f"not reloaded: {after.reload_error}")
    else:
        with contextlib.suppress(OSError):
            click.echo(f"reloaded: process {holder.pid}, {holder.url}")


def _wait(look: Callable[[], Holder | None], before: Holder) -> Holder | None:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = look()
        if found is None:
            return None
        if found.reloads > before.reloads:
            return found
        time.sleep(_POLL_S)
    return None


def _fail(words: str) -> None:
    click.echo(f"tokenmill: {words}", err=True)
    sys.exit(1)
