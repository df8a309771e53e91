"""`tokenmill wallet` and `tokenmill ledger`: tables for people, `--json` for programs."""

import sys
from typing import TypeVar

import click
import msgspec

from tokenmill.accounts.command_line import answered
from tokenmill.accounts.desk import account_desk
from tokenmill.accounts.rules import LOCAL_ACCOUNT
from tokenmill.billing.desk import verify, wallet_desk
from tokenmill.billing.views import TRANSFERS_MAX, AddFunds, CreditView, RefundFunds
from tokenmill.configuration.command_line import common_options, print_json
from tokenmill.money import parse_dollars

T = TypeVar("T", bound=msgspec.Struct)


class Dollars(click.ParamType[int]):
    """An amount of money: nanos."""

    name = "dollars"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            return parse_dollars(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group("wallet")
def wallet() -> None:
    """Show what an account owns, and add funds or refund.

    Money is exact to a billionth of a dollar. A reference (an invoice, a payment) makes adding
    safe to repeat: the same one again changes nothing. Works while tokenmill is up and down.
    """


@wallet.command("show")
@click.argument("account", default=LOCAL_ACCOUNT)
@common_options
def show(account: str, as_json: bool, config: str | None, state: str | None) -> None:
    """Show the balance of ACCOUNT, what is held for requests under way, and what is available.

    \b
    Example:
      tokenmill wallet show acme
    """
    with answered(config, state) as (settings, answerer):
        number = account_desk(settings, answerer).find_name(account).id
        found = wallet_desk(answerer).view(number)
    if as_json:
        print_json(found)
        return
    from tokenmill.billing.shown import print_wallet

    print_wallet(account, found)


@wallet.command("add")
@click.argument("account")
@click.argument("amount", type=Dollars())
@click.option("--reference", required=True, help="Yours: an invoice, a payment. Counts once.")
@click.option("--grant", is_flag=True, help="A gift, not money that was paid.")
@click.option("--note", default="", help="For people.")
@common_options
def add(
    *,
    account: str,
    amount: int,
    reference: str,
    grant: bool,
    note: str,
    as_json: bool,
    config: str | None,
    state: str | None,
) -> None:
    """Add AMOUNT dollars to the wallet of ACCOUNT.

    \b
    Examples:
      tokenmill wallet add acme 25 --reference invoice-7
      tokenmill wallet add acme 5 --reference welcome --grant
    """
    fields = {
        "amount_nanos": amount,
        "reference": reference,
        "note": note,
        "kind": "grant" if grant else "top_up",
    }
    wish = _wish(fields, AddFunds)
    with answered(config, state) as (settings, answerer):
        number = account_desk(settings, answerer).find_name(account).id
        made = wallet_desk(answerer).add(number, wish)
    _print_credit(made, account, as_json)


@wallet.command("refund")
@click.argument("account")
@click.argument("amount", type=Dollars())
@click.option("--reference", required=True, help="Yours. Counts once.")
@click.option("--note", default="", help="For people.")
@common_options
def refund(
    *,
    account: str,
    amount: int,
    reference: str,
    note: str,
    as_json: bool,
    config: str | None,
    state: str | None,
) -> None:
    """Give AMOUNT dollars that were billed back to ACCOUNT; at most what was billed.

    \b
    Example:
      tokenmill wallet refund acme 0.25 --reference ticket-12 --note "engine was down"
    """
    wish = _wish({"amount_nanos": amount, "reference": reference, "note": note}, RefundFunds)
    with answered(config, state) as (settings, answerer):
        number = account_desk(settings, answerer).find_name(account).id
        made = wallet_desk(answerer).refund(number, wish)
    _print_credit(made, account, as_json)


@wallet.command("transactions")
@click.argument("account", default=LOCAL_ACCOUNT)
@click.option(
    "--limit", type=click.IntRange(1, TRANSFERS_MAX), default=20, show_default=True, help="Lines."
)
@click.option("--before", type=click.IntRange(1), default=None, help="Lines before this one.")
@common_options
def transactions(
    *,
    account: str,
    limit: int,
    before: int | None,
    as_json: bool,
    config: str | None,
    state: str | None,
) -> None:
    """Show the lines of the ledger of ACCOUNT, newest first.

    \b
    Example:
      tokenmill wallet transactions acme --limit 50
    """
    with answered(config, state) as (settings, answerer):
        number = account_desk(settings, answerer).find_name(account).id
        found = wallet_desk(answerer).transfers(number, before_id=before, count_max=limit)
    if as_json:
        print_json(found)
        return
    from tokenmill.billing.shown import print_transfers

    print_transfers(found)


@click.group("ledger")
def ledger() -> None:
    """Check the books."""


@ledger.command("verify")
@common_options
def verify_books(as_json: bool, config: str | None, state: str | None) -> None:
    """Check that the books are right; exit status 1 if they are not.

    All books together are zero, each is the sum of its transfers, usage is what was billed, and
    what wallets have available is the ledger less what is under way. Changes nothing; safe while
    tokenmill serves.

    \b
    Example:
      tokenmill ledger verify
    """
    with answered(config, state) as (_, answerer):
        found = verify(answerer)
    if as_json:
        print_json(found)
    else:
        from tokenmill.billing.shown import print_verification

        print_verification(found)
    if not found.is_right:
        sys.exit(1)


def _wish(fields: dict[str, object], kind: type[T]) -> T:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise click.ClickException(str(error)) from error


def _print_credit(made: CreditView, account: str, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    state = "is in the wallet" if made.state == "posted" else "is on its way to the wallet"
    click.echo(f"${made.amount.dollars} {state} of {account} ({made.kind}, {made.reference}).")
