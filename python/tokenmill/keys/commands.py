"""`tokenmill keys create|list|rotate|revoke`: tables for people, `--json` for programs.

Each command is a question to the desk; this file parses, asks and prints.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import msgspec

from tokenmill.accounts.rules import LOCAL_ACCOUNT
from tokenmill.configuration.files import load
from tokenmill.configuration.problems import SettingsError
from tokenmill.control_client import ControlAway, ControlRefused
from tokenmill.errors import ApiError
from tokenmill.keys.desk import KeyDesk, StateBusy, open_desk
from tokenmill.keys.durations import parse_span_s
from tokenmill.keys.rules import Scope, scope_names
from tokenmill.keys.views import CreateKey, KeyView, MadeKey, RotateKey

Command = TypeVar("Command", bound=Callable[..., None])

SCOPES = scope_names(sum(Scope))


@click.group("keys")
def keys() -> None:
    """Make, list, rotate and revoke API keys.

    Works while tokenmill is up (it then takes effect in every worker at once) and while it is
    down. Secrets are shown once, when a key is made; only their digests are stored.
    """


def _common(command: Command) -> Command:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="For programs."),
        click.option("--config", metavar="FILE", help="A TOML file of settings."),
        click.option("--state", metavar="DIR", help="The state folder."),
    ):
        command = option(command)
    return command


class _Span(click.ParamType[int]):
    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_span_s(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@keys.command("create")
@click.option("--name", default="key", show_default=True, help="What you call it.")
@click.option("--account", default=LOCAL_ACCOUNT, show_default=True, help="Who pays.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What it may do; repeatable. Without it: everything.",
)
@click.option("--expires", type=_Span(), default=None, help="After 12h, 30d, 4w … Default: never.")
@_common
def create(
    *,
    name: str,
    account: str,
    scopes: tuple[str, ...],
    expires: int | None,
    as_json: bool,
    config: str | None,
    state: str | None,
) -> None:
    """Make a key and show its secret, this once.

    \b
    Examples:
      tokenmill keys create --name ci --expires 90d
      export OPENAI_API_KEY=$(tokenmill keys create --name ci --json | jq -r .secret)
    """
    wish = _wish(name=name, account=account, scopes=scopes, expires_in_s=expires or 0)
    with _desk(config, state) as desk:
        made = desk.create(wish)
    _print_made(made, as_json)


@keys.command("list")
@click.option("--live", is_flag=True, help="Only keys that open something now.")
@_common
def list_keys(live: bool, as_json: bool, config: str | None, state: str | None) -> None:
    """Show the keys, without their secrets.

    \b
    Example:
      tokenmill keys list --live
    """
    with _desk(config, state) as desk:
        found = desk.list(is_live_only=live)
    if as_json:
        _print_json(found)
    else:
        from tokenmill.keys.shown import print_keys

        print_keys(found)


@keys.command("rotate")
@click.argument("key")
@click.option(
    "--overlap",
    type=_Span(),
    default="1d",
    show_default=True,
    help="How long the old key still opens; 0s: not at all.",
)
@_common
def rotate(key: str, overlap: int, as_json: bool, config: str | None, state: str | None) -> None:
    """Replace KEY (its number or name) by a new one and show the new secret, this once.

    The old key goes on for the overlap, so that its users can change over.

    \b
    Example:
      tokenmill keys rotate ci --overlap 12h
    """
    with _desk(config, state) as desk:
        made = desk.rotate(_find(desk, key).id, RotateKey(overlap_s=overlap))
    _print_made(made, as_json)


@keys.command("revoke")
@click.argument("key")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_common
def revoke(key: str, yes: bool, as_json: bool, config: str | None, state: str | None) -> None:
    """Revoke KEY (its number or name). From then on every worker refuses it; there is no undo.

    \b
    Example:
      tokenmill keys revoke 3 --yes
    """
    with _desk(config, state) as desk:
        found = _find(desk, key)
        if not yes:
            question = f"Revoke key {found.id} ({found.name}, {found.shown})? There is no undo."
            click.confirm(question, abort=True, err=True)
        revoked = desk.revoke(found.id)
    if as_json:
        _print_json(revoked)
    else:
        click.echo(f"Key {revoked.id} ({revoked.name}, {revoked.shown}) opens nothing any more.")


def _wish(**fields: object) -> CreateKey:
    try:
        return msgspec.convert(fields, CreateKey)
    except msgspec.ValidationError as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _desk(config: str | None, state: str | None) -> Iterator[KeyDesk]:
    """Who answers; what goes wrong ends the command with a sentence."""
    try:
        settings = load(config, {"state": state}).settings
        with open_desk(settings) as desk:
            yield desk
    except (ControlRefused, SettingsError, StateBusy) as error:
        raise click.ClickException(str(error)) from error
    except ControlAway as error:
        raise click.ClickException(f"tokenmill went away: {error}. Try again.") from error
    except ApiError as error:
        raise click.ClickException(error.message) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'the state folder'}: {error}") from error


def _find(desk: KeyDesk, wanted: str) -> KeyView:
    """The key with that number, or the one live key with that name."""
    found = desk.list()
    by_number = [key for key in found if wanted.isdigit() and key.id == int(wanted)]
    by_name = [key for key in found if key.name == wanted and key.state == "live"]
    matches = by_number or by_name
    if len(matches) == 1:
        return matches[0]
    if matches:
        numbers = ", ".join(str(key.id) for key in matches)
        raise click.ClickException(f"{wanted!r} is the name of keys {numbers}: give the number.")
    raise click.ClickException(f"there is no key {wanted!r}; see `tokenmill keys list`.")


def _print_made(made: MadeKey, as_json: bool) -> None:
    if as_json:
        _print_json(made)
    elif sys.stdout.isatty():
        from tokenmill.keys.shown import print_made

        print_made(made)
    else:
        click.echo(made.secret)  # into a file or a variable: the secret and nothing else


def _print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")
