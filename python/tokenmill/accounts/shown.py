"""Accounts as people see them on a terminal. Loads rich, so commands import it when they print."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tokenmill.accounts.limits import LimitView
from tokenmill.accounts.views import AccountView, HouseNow


def print_accounts(found: Sequence[AccountView]) -> None:
    """A table of 80 columns, oldest first."""
    table = _table("account", "id", "tier", "requests/min", "tokens/min", "at once")
    for one in found:
        limits = one.limits
        shown = (limits.requests_per_min, limits.tokens_per_min, limits.concurrency)
        table.add_row(one.name, str(one.id), one.tier, *map(_limit, shown))
    _console().print(table)


def print_limits(account: AccountView, house: HouseNow | None) -> None:
    """One line a limit, and how busy the house is if it is up."""
    table = _table(f"{account.name} ({account.tier})", "in force", "set by")
    limits = account.limits
    for name, limit in (
        ("requests/min", limits.requests_per_min),
        ("tokens/min", limits.tokens_per_min),
        ("at once", limits.concurrency),
    ):
        table.add_row(name, _limit(limit), limit.set_by)
    for model, price in account.prices.items():
        table.add_row(f"nanos a token, {model}", price, "account")
    console = _console()
    console.print(table)
    if house is not None:
        console.print(f"The house: {house.in_flight} in flight, {house.waiting} waiting.")


def _limit(limit: LimitView) -> str:
    return "none" if limit.max is None else f"{limit.max:,}"


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold")
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _console() -> Console:
    return Console(highlight=False, markup=False)
