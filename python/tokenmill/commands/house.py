"""`tokenmill up` and `tokenmill serve`: flags to settings, then the supervisor."""

import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from tokenmill.child import name_process
from tokenmill.configuration.files import load
from tokenmill.configuration.problems import SettingsError
from tokenmill.engines.address import parse_address
from tokenmill.logs import configure_logging
from tokenmill.settings import Settings
from tokenmill.supervisor.refusal import Refused
from tokenmill.supervisor.run import run_house
from tokenmill.supervisor.welcome import Welcome

F = TypeVar("F", bound=Callable[..., Any])

_FLAGS = [
    click.option("--host", help="Address to listen on; 0.0.0.0 for all.", metavar="ADDRESS"),
    click.option("--port", type=int, help="Port to listen on; 0 takes a free one.", metavar="PORT"),
    click.option("--workers", type=int, help="Processes that serve requests.", metavar="N"),
    click.option("--state", help="Folder for keys, database and sockets.", metavar="DIR"),
    click.option(
        "--engine", "engines", multiple=True, help="An engine to use; repeatable.", metavar="URL"
    ),
    click.option("--model", help="Hugging Face id, folder or GGUF file.", metavar="ID_OR_PATH"),
    click.option("--log-format", help="auto, pretty or json.", metavar="FORMAT"),
    click.option("--log-level", help="debug, info, warning or error.", metavar="LEVEL"),
    click.option(
        "--drain-seconds", help="How long streams may go on at the end.", metavar="SECONDS"
    ),
]


def house_flags(command: F) -> F:
    """The flags of `up` and `serve`; each is a setting of the same name."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return click.option("--config", metavar="FILE", help="A TOML file of settings.")(command)


@click.command()
@house_flags
def up(config: str | None, **flags: Any) -> None:
    """Serve the API on this machine.

    Uses the engine you name; else a vLLM that answers on this machine; else, with --model and a
    GPU, a vLLM it starts; else the embedded engine. Ctrl-C ends it: streams have --drain-seconds.

    \b
    Examples:
      tokenmill up
      tokenmill up --port 9000 --workers 4
      tokenmill up --engine http://127.0.0.1:8000
      TOKENMILL_LOG_FORMAT=json tokenmill up
    """
    _run(config, flags, may_start_engine=True)


@click.command()
@house_flags
def serve(config: str | None, **flags: Any) -> None:
    """Serve the API without starting an engine: a vLLM that appears is found and used.

    \b
    Example:
      tokenmill serve --host 0.0.0.0 --engine http://10.0.0.5:8000
    """
    _run(config, flags, may_start_engine=False)


def _run(config: str | None, flags: dict[str, Any], *, may_start_engine: bool) -> None:
    def reread() -> Settings:
        settings = load(config, flags).settings
        check_engines(settings)
        return settings

    settings = reread()
    configure_logging(settings.log_format, settings.log_level, "supervisor")
    name_process("supervisor")
    welcome = Welcome(settings)
    try:
        status = run_house(
            settings,
            reread=reread,
            may_start_engine=may_start_engine,
            on_serving=welcome.show,
        )
    except Refused as refused:
        click.echo(f"tokenmill: {refused}", err=True)
        sys.exit(1)
    logging.shutdown()
    sys.exit(status)


def check_engines(settings: Settings) -> None:
    """Raises: SettingsError, naming every engine whose URL the forwarder cannot reach."""
    problems = []
    for engine in settings.engines:
        try:
            parse_address(engine.url)
        except ValueError as error:
            problems.append(f"engines: {error}")
    if problems:
        raise SettingsError(problems)
