"""`tokenmill keys create|list|rotate|revoke`: tables for people, `--json` for programs.

Each command is a question to the desk; this file parses, asks and prints.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from tokenmill.accounts.command_line import words_for_refusals
from tokenmill.accounts.rules import LOCAL_ACCOUNT
from tokenmill.configuration.command_line import common_options, print_json
from tokenmill.configuration.files import load
from tokenmill.keys.desk import KeyDesk, open_desk
from tokenmill.keys.durations import parse_span_s
from tokenmill.keys.rules import Scope, scope_names
from tokenmill.keys.views import CreateKey, KeyView, MadeKey, RotateKey

SCOPES = scope_names(sum(Scope))


@click.group("keys")
def keys() -> None:
    """Make, list, rotate and revoke API keys.

    Works while tokenmill is up (it then takes effect in every worker at once) and while it is
    down. Secrets are shown once, when a key is made; only their digests are stored.
    """


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
@click.option(
    "--kind",
    type=click.Choice(["api", "dashboard", "operator", "engine"]),
    default="api",
    show_default=True,
    help="An API key; a token for the account's dashboard; one for all accounts'; one by which"
    " engines join.",
)
@click.option(
    "--model", "models", multiple=True, help="A model it may use; repeatable. Without it: all."
)
@click.option("--expires", type=_Span(), default=None, help="After 12h, 30d, 4w … Default: never.")
@common_options
def create(
    *,
    name: str,
    account: str,
    scopes: tuple[str, ...],
    kind: str,
    models: tuple[str, ...],
    expires: int | None,
    as_json: bool,
    config: str | None,
    state: str | None,
) -> None:
    """Make a key and show its secret, this once.

    \b
    Examples:
      tokenmill keys create --name ci --expires 90d
      tokenmill keys create --account acme --scope inference --model meta-llama/Llama-3.1-8B
      tokenmill keys create --account acme --kind dashboard
      export OPENAI_API_KEY=$(tokenmill keys create --name ci --json | jq -r .secret)
    """
    wish = _wish(
        name=name,
        account=account,
        scopes=scopes,
        kind=kind,
        models=models,
        expires_in_s=expires or 0,
    )
    with _desk(config, state) as desk:
        made = desk.create(wish)
    _print_made(made, as_json)


@keys.command("list")
@click.option("--live", is_flag=True, help="Only keys that open something now.")
@common_options
def list_keys(live: bool, as_json: bool, config: str | None, state: str | None) -> None:
    """Show the keys, without their secrets.

    \b
    Example:
      tokenmill keys list --live
    """
    with _desk(config, state) as desk:
        found = desk.list(is_live_only=live)
    if as_json:
        print_json(found)
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
@common_options
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
@common_options
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
        print_json(revoked)
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
    with words_for_refusals(), open_desk(load(config, {"state": state}).settings) as desk:
        yield desk


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
        print_json(made)
    elif sys.stdout.isatty():
        from tokenmill.keys.shown import print_made

        print_made(made)
    else:
        click.echo(made.secret)  # into a file or a variable: the secret and nothing else
