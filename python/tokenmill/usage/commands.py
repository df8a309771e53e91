"""`tokenmill usage` and `request`: tables for people, `--json` and `--csv` for programs."""

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import click
import msgspec

from tokenmill.accounts.command_line import answered
from tokenmill.accounts.desk import account_desk
from tokenmill.accounts.rules import LOCAL_ACCOUNT
from tokenmill.configuration.command_line import common_options, print_json
from tokenmill.control_client import ControlClient
from tokenmill.usage.views import RequestView, UsageQuery, UsageReport

if TYPE_CHECKING:
    from tokenmill.database.connection import Database

PATH = "/control/dashboard"


@click.command("usage")
@click.argument("account", default=LOCAL_ACCOUNT)
@click.option("--from", "from_", default=None, help="A date or time, UTC. Default: 30 days ago.")
@click.option("--to", default=None, help="A date or time, UTC; not part of it. Default: now.")
@click.option(
    "--by",
    type=click.Choice(["total", "month", "day", "hour"]),
    default="day",
    show_default=True,
    help="A line for each.",
)
@click.option("--group", default="", help="model, key, class, endpoint; with commas.")
@click.option("--csv", "as_csv", is_flag=True, help="For spreadsheets.")
@common_options
def usage(
    *,
    account: str,
    from_: str | None,
    to: str | None,
    by: str,
    group: str,
    as_csv: bool,
    as_json: bool,
    config: str | None,
    state: str | None,
) -> None:
    """Show what ACCOUNT used and what it was billed: to the nano what the ledger says.

    \b
    Examples:
      tokenmill usage acme --from 2026-11-01 --group model,class
      tokenmill usage acme --by month --csv > usage.csv
    """
    fields = {"from": from_, "to": to, "by": by, "group": group}
    try:
        query = msgspec.convert(fields, UsageQuery)
    except msgspec.ValidationError as error:
        raise click.ClickException(str(error)) from error
    with answered(config, state) as (settings, answerer):
        number = account_desk(settings, answerer).find_name(account).id
        report = _report(answerer, number, query)
    if as_json:
        print_json(report)
    elif as_csv:
        from tokenmill.usage.csv_text import csv_text

        click.echo(csv_text(report), nl=False)
    else:
        from tokenmill.usage.shown import print_report

        print_report(account, report)


@click.group("request")
def request() -> None:
    """Look a settled request up."""


@request.command("show")
@click.argument("request_id")
@common_options
def show(request_id: str, as_json: bool, config: str | None, state: str | None) -> None:
    """Show the life of the request REQUEST_ID: times, engine, tokens, reservation, price, ledger.

    \b
    Example:
      tokenmill request show req_0123456789abcdef01234567
    """
    with answered(config, state) as (_, answerer):
        found = _request(answerer, request_id)
    if as_json:
        print_json(found)
        return
    from tokenmill.usage.shown import print_request

    print_request(found)


def _report(
    answerer: "ControlClient | Database", account_id: int, query: UsageQuery
) -> UsageReport:
    if isinstance(answerer, ControlClient):
        given = msgspec.to_builtins(query) | {"account": account_id}
        pairs = {name: value for name, value in given.items() if value not in (None, "")}
        return answerer.get(f"{PATH}/usage?{urlencode(pairs)}", UsageReport)
    from tokenmill.usage.reports import UsageReader

    return UsageReader(answerer).report(account_id, query)


def _request(answerer: "ControlClient | Database", request_id: str) -> RequestView:
    if isinstance(answerer, ControlClient):
        return answerer.get(f"{PATH}/requests/{quote(request_id, safe='')}", RequestView)
    from tokenmill.usage.requests import RequestReader

    return RequestReader(answerer).find(request_id, None)
