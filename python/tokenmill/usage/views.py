"""Usage as HTTP and the command line speak of it."""

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from tokenmill.ids import RowNumber

Period = Literal["total", "month", "day", "hour"]
Dimension = Literal["model", "key", "class", "endpoint"]
DIMENSIONS: tuple[Dimension, ...] = ("model", "key", "class", "endpoint")

LINES_MAX = 20_000
"""Lines of one report: more is asked for in shorter spans or coarser periods."""

Text = Annotated[str, Meta(max_length=512)]
Time = Annotated[str, Meta(max_length=40)]
Group = Annotated[str, Meta(max_length=60, pattern=r"^[a-z,]*$")]


class UsageQuery(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"from_": "from", "class_": "class"},
):
    """What is asked of usage. `from` and `to` are dates or times in UTC, `to` is not part of it;
    left out: the last 30 days. `group` lists dimensions with commas."""

    from_: Time | None = None
    to: Time | None = None
    by: Period = "day"
    group: Group = ""
    model: Text | None = None
    key: RowNumber | None = None
    class_: Literal["realtime", "batch_1h", "batch_24h", "embeddings"] | None = None
    endpoint: Literal["chat_completions", "completions", "embeddings"] | None = None
    format: Literal["json", "csv"] = "json"
    account: RowNumber | None = None


class UsageLine(Struct, frozen=True, kw_only=True, rename={"class_": "class"}, omit_defaults=True):
    """Sums of one period; dimensions that were not asked for are left out."""

    start: str
    model: str | None = None
    key: int | None = None
    key_name: str | None = None
    class_: str | None = None
    endpoint: str | None = None
    requests: int
    failed_requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_nanos: int
    cost: str  # dollars


class UsageTotal(Struct, frozen=True, kw_only=True):
    """Sums of the whole report: to the nano what the ledger billed in that time."""

    requests: int
    failed_requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_nanos: int
    cost: str


class UsageReport(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """Usage of one account, oldest period first."""

    account_id: int
    from_: str
    to: str
    by: Period
    group: list[Dimension]
    data: list[UsageLine]
    total: UsageTotal


class RequestView(Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """The life of one settled request. Prices are nanos a token; times milliseconds since the
    epoch, or since the start where the name says `after`."""

    id: str
    account_id: int
    key: int
    model: str
    engine: str
    class_: str
    endpoint: str
    status: int
    is_stream: bool
    is_usage_known: bool
    is_rescued: bool
    began_at_ms: int
    ended_at_ms: int
    first_byte_after_ms: int | None
    ended_after_ms: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    prompt_price_nanos: int
    completion_price_nanos: int
    cached_price_nanos: int
    reserved_nanos: int
    cost_nanos: int
    cost: str
    transfer_id: int


class RequestList(Struct, frozen=True, kw_only=True):
    """Settled requests, the last ended first; ask on with `before` set to `next_before`."""

    data: list[RequestView]
    next_before: int | None


REQUEST_ID = re.compile(r"(?:req_)?([0-9a-f]{24})")
