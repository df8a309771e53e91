"""`tokenmill accounts` and `tokenmill limits`: tables for people, `--json` for programs."""

import re

import click
from msgspec import UNSET, UnsetType

from tokenmill.accounts.command_line import answered
from tokenmill.accounts.desk import account_desk, house_now
from tokenmill.accounts.rules import LOCAL_ACCOUNT
from tokenmill.accounts.views import (
    AccountView,
    ChangeAccount,
    CreateAccount,
    LimitsNow,
    TierName,
)
from tokenmill.configuration.command_line import common_options, print_json

PRICE = re.compile(r"[0-9]{1,12}(/[0-9]{1,12}){1,2}")
TIER = click.Choice(["free", "standard", "pro", "premium", "internal"])


class Limit(click.ParamType[int | UnsetType | None]):
    """A whole number, `none` for no limit, or `tier` for what the tier says."""

    name = "limit"

    def convert(
        self, value: str | UnsetType, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | UnsetType | None:
        if isinstance(value, UnsetType):
            return value  # it was not given
        if value in ("none", "tier"):
            return 0 if value == "none" else None
        if not value.isdigit() or not 0 < int(value) <= 1_000_000_000:
            self.fail(f"{value!r} is no limit: give a whole number, none or tier", param, ctx)
        return int(value)


class OwnPrice(click.ParamType[tuple[str, str | None]]):
    """MODEL=PRICE: nanos a token, `prompt/completion` or `prompt/cached/completion`."""

    name = "model=price"

    def convert(
        self,
        value: str | tuple[str, str | None],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, str | None]:
        if isinstance(value, tuple):
            return value
        model, _, price = value.rpartition("=")
        if not model or not (price == "default" or PRICE.fullmatch(price)):
            wanted = "give MODEL=prompt/completion or MODEL=default"
            self.fail(f"{value!r} is no price: {wanted}", param, ctx)
        return model, None if price == "default" else price


@click.group("accounts")
def accounts() -> None:
    """Make accounts, list them, change their tier and limits.

    All keys of an account share its limits and its wallet. Works while tokenmill is up and while
    it is down.
    """


@accounts.command("create")
@click.argument("name")
@click.option("--tier", type=TIER, default="free", show_default=True, help="What it may do.")
@common_options
def create(name: str, tier: TierName, as_json: bool, config: str | None, state: str | None) -> None:
    """Make the account NAME, with an empty wallet.

    \b
    Example:
      tokenmill accounts create acme --tier standard
      tokenmill wallet add acme 25 --reference invoice-7
      tokenmill keys create --account acme
    """
    with answered(config, state) as (settings, answerer):
        made = account_desk(settings, answerer).create(CreateAccount(name=name, tier=tier))
    _print([made], as_json, single=True)


@accounts.command("list")
@common_options
def list_accounts(as_json: bool, config: str | None, state: str | None) -> None:
    """Show the accounts and the limits in force.

    \b
    Example:
      tokenmill accounts list
    """
    with answered(config, state) as (settings, answerer):
        found = account_desk(settings, answerer).list()
    _print(found, as_json, single=False)


@accounts.command("change")
@click.argument("name")
@click.option("--tier", type=TIER, default=None, help="Another tier.")
@click.option("--requests-per-min", type=Limit(), default=UNSET, help="A number, none or tier.")
@click.option("--tokens-per-min", type=Limit(), default=UNSET, help="A number, none or tier.")
@click.option("--concurrency", type=Limit(), default=UNSET, help="A number, none or tier.")
@click.option("--price", "prices", type=OwnPrice(), multiple=True, help="MODEL=prompt/completion.")
@common_options
def change(
    *,
    name: str,
    tier: TierName | None,
    requests_per_min: int | UnsetType | None,
    tokens_per_min: int | UnsetType | None,
    concurrency: int | UnsetType | None,
    prices: tuple[tuple[str, str | None], ...],
    as_json: bool,
    config: str | None,
    state: str | None,
) -> None:
    """Change the tier of the account NAME, or give it limits and prices of its own.

    Prices are nanos (billionths of a dollar) a token: prompt/completion, or
    prompt/cached/completion. They hold for requests that begin afterwards.

    \b
    Examples:
      tokenmill accounts change acme --tier pro
      tokenmill accounts change acme --requests-per-min 500 --tokens-per-min none
      tokenmill accounts change acme --requests-per-min tier     # as its tier says again
      tokenmill accounts change acme --price my-model=80/240 --price "*=90/90"
      tokenmill accounts change acme --price my-model=default    # as the settings say again
    """
    wish = ChangeAccount(
        tier=tier or UNSET,
        requests_per_min=requests_per_min,
        tokens_per_min=tokens_per_min,
        concurrency_max=concurrency,
        prices=dict(prices) or UNSET,
    )
    with answered(config, state) as (settings, answerer):
        desk = account_desk(settings, answerer)
        changed = desk.change(desk.find_name(name).id, wish)
    _print([changed], as_json, single=True)


@click.command("limits")
@click.argument("account", default=LOCAL_ACCOUNT)
@common_options
def limits(account: str, as_json: bool, config: str | None, state: str | None) -> None:
    """Show the limits in force for ACCOUNT, whether its tier or itself sets them, and how many
    requests of all accounts are under way and wait for busy engines.

    \b
    Example:
      tokenmill limits acme
    """
    with answered(config, state) as (settings, answerer):
        found = account_desk(settings, answerer).find_name(account)
        house = house_now(answerer)
    if as_json:
        limits = found.limits
        print_json(
            LimitsNow(
                requests_per_min=limits.requests_per_min,
                tokens_per_min=limits.tokens_per_min,
                concurrency=limits.concurrency,
                house=house,
            )
        )
        return
    from tokenmill.accounts.shown import print_limits

    print_limits(found, house)


def _print(found: list[AccountView], as_json: bool, *, single: bool) -> None:
    if as_json:
        print_json(found[0] if single else found)
        return
    from tokenmill.accounts.shown import print_accounts

    print_accounts(found)
