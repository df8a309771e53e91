"""Usage as people see it on a terminal. Loads rich, so commands import it when they print."""

import time

import msgspec
from rich.console import Console
from rich.table import Table

from tokenmill.money import dollars_text
from tokenmill.usage.views import RequestView, UsageReport

_SUMS = ("requests", "failed_requests", "prompt_tokens", "completion_tokens", "cached_tokens")


def print_report(account: str, report: UsageReport) -> None:
    """A table of periods, and their total."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("from", no_wrap=True)
    for part in report.group:
        table.add_column(part, overflow="fold")
    for name in ("requests", "failed", "prompt", "completion", "cached", "dollars"):
        table.add_column(name, justify="right")
    for line in report.data:
        values = msgspec.to_builtins(line)
        names = [str(values.get(name, "")) for name in report.group]
        table.add_row(line.start, *names, *(f"{values[name]:,}" for name in _SUMS), line.cost)
    total = msgspec.to_builtins(report.total)
    blanks = [""] * len(report.group)
    numbers = [f"{total[name]:,}" for name in _SUMS]
    table.add_row("total", *blanks, *numbers, report.total.cost, style="bold")
    console = Console(highlight=False, markup=False)
    console.print(f"Usage of {account} from {report.from_} to {report.to}\n", style="dim")
    console.print(table)


def print_request(found: RequestView) -> None:
    """The life of a request, a fact a line."""
    first = found.first_byte_after_ms
    ends = {499: "the client went"}
    facts = {
        "request": found.id,
        "account, key": f"{found.account_id}, {found.key}",
        "began": _moment(found.began_at_ms),
        "first byte": "none came" if first is None else f"after {first} ms",
        "ended": f"after {found.ended_after_ms} ms, {_moment(found.ended_at_ms)}",
        "status": f"{found.status} {ends.get(found.status, '')}".strip(),
        "model": found.model,
        "engine": found.engine or "none",
        "class, endpoint": f"{found.class_}, {found.endpoint}",
        "tokens": f"{found.prompt_tokens} prompt ({found.cached_tokens} cached),"
        f" {found.completion_tokens} completion",
        "price": f"{found.prompt_price_nanos} prompt, {found.cached_price_nanos} cached,"
        f" {found.completion_price_nanos} completion; nanos a token",
        "reserved": f"${dollars_text(found.reserved_nanos)}",
        "billed": f"${found.cost}",
        "ledger line": str(found.transfer_id),
    }
    if found.is_rescued:
        facts["note"] = "its worker died: it was billed on the last usage that was received"
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        table.add_row(name, value)
    Console(highlight=False, markup=False).print(table)


def _moment(time_ms: int) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ms / 1000))
    return f"{moment}.{time_ms % 1000:03d}"
