"""Money as people see it on a terminal. Loads rich, so commands import it when they print."""

import time

from rich.console import Console
from rich.table import Table

from tokenmill.billing.verification import Verification
from tokenmill.billing.views import TransferList, WalletView


def print_wallet(account: str, wallet: WalletView) -> None:
    """One amount a line, in dollars."""
    table = _table(f"wallet of {account}", "dollars")
    table.add_row("available", wallet.available.dollars)
    table.add_row("held for requests under way", wallet.held.dollars)
    table.add_row("balance", wallet.balance.dollars)
    if wallet.on_its_way.nanos:
        table.add_row("on its way", wallet.on_its_way.dollars)
    _console().print(table)


def print_transfers(found: TransferList) -> None:
    """A table, newest first."""
    if not found.data:
        _console().print("Nothing yet.")
        return
    table = _table("when", "line", "what", "amount", "balance", "reference")
    for one in found.data:
        what = f"{one.class_}, {one.requests} requests" if one.kind == "usage" else one.kind
        table.add_row(
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.created_at_ms / 1000)),
            str(one.id),
            what,
            one.amount.dollars,
            one.balance.dollars,
            one.reference,
        )
    _console().print(table)
    if found.next_before is not None:
        _console().print(f"More: --before {found.next_before}", style="dim")


def print_verification(found: Verification) -> None:
    """A line a check, and what is wrong below it."""
    console = _console()
    for check in found.checks:
        mark, style = ("right", "green") if check.is_right else ("WRONG", "bold red")
        console.print(f"{mark}  {check.name} ({check.detail})", style=style)
        for line in check.wrong:
            console.print(f"       {line}")


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for title in others:
        is_text = title in ("what", "reference")
        table.add_column(title, justify="left" if is_text else "right", overflow="fold")
    return table


def _console() -> Console:
    return Console(highlight=False, markup=False)
