"""A usage report as CSV: one line a period, and a last one with the total. Pure."""

import csv
import io

import msgspec

from tokenmill.usage.views import UsageReport

_NUMBERS = (
    "requests",
    "failed_requests",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cost_nanos",
    "cost",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(report: UsageReport) -> str:
    """The report, with a head; names that a spreadsheet would calculate begin with a quote."""
    texts = [name for part in report.group for name in _names(part)]
    head = ["start", *texts, *_NUMBERS]
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\r\n")
    writer.writerow(head)
    for line in report.data:
        values = msgspec.to_builtins(line)
        writer.writerow(
            [values["start"], *(_text(values.get(name)) for name in texts)]
            + [values[name] for name in _NUMBERS]
        )
    total = msgspec.to_builtins(report.total)
    writer.writerow(["total", *("" for _ in texts), *(total[name] for name in _NUMBERS)])
    return output.getvalue()


def _names(part: str) -> tuple[str, ...]:
    return ("key", "key_name") if part == "key" else (part,)


def _text(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
