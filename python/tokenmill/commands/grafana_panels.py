"""What a house's Grafana dashboard shows: rows of panels, and the PromQL behind each.

Pure. Every query names metrics that the private listener shows; a test holds the two together.
"""

from msgspec import Struct


class Query(Struct, frozen=True):
    """A PromQL expression and how its lines are called."""

    expression: str
    legend: str


class Panel(Struct, frozen=True, kw_only=True):
    """A picture: `unit` is Grafana's name of it."""

    title: str
    text: str = ""
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    is_stacked: bool = False
    queries: tuple[Query, ...]


class Row(Struct, frozen=True):
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


def chosen(where: str = "") -> str:
    """The instances that the reader chose, as a PromQL selector, and what else has to hold."""
    return '{instance=~"$instance"' + (f",{where}" if where else "") + "}"


def _rate(metric: str, where: str = "") -> str:
    return f"rate(tokenmill_{metric}{chosen(where)}[$__rate_interval])"


def _by(label: str, metric: str, where: str = "") -> Query:
    return Query(f"sum by ({label}) ({_rate(metric, where)})", "{{" + label + "}}")


def _total(metric: str, legend: str, where: str = "") -> Query:
    return Query(f"sum({_rate(metric, where)})", legend)


def _now(metric: str, legend: str, by: str = "", where: str = "") -> Query:
    group = f" by ({by})" if by else ""
    return Query(f"sum{group} (tokenmill_{metric}{chosen(where)})", legend)


def _quantiles(metric: str) -> tuple[Query, ...]:
    buckets = f"sum by (le) ({_rate(f'{metric}_bucket')})"
    return tuple(
        Query(f"histogram_quantile({share}, {buckets})", f"p{share * 100:g}")
        for share in (0.5, 0.95, 0.99)
    )


_ENGINE = 'engine=~"$engine"'
_FAILED = 'status="5xx"'

ROWS = (
    Row(
        "Requests",
        (
            Panel(
                title="Requests by route",
                unit="reqps",
                queries=(_by("endpoint", "requests_total"),),
            ),
            Panel(
                title="Requests by status", unit="reqps", queries=(_by("status", "requests_total"),)
            ),
            Panel(
                title="Under way and waiting",
                text="Requests that engines work on, and those that wait for a busy one.",
                queries=(
                    _now("requests_in_flight", "under way"),
                    _now("requests_waiting", "waiting"),
                ),
            ),
        ),
    ),
    Row(
        "Latency",
        (
            Panel(
                title="Time to the first byte",
                text="From the request to the first byte of the engine's answer.",
                unit="s",
                queries=_quantiles("first_byte_seconds"),
            ),
            Panel(title="Time to the end", unit="s", queries=_quantiles("duration_seconds")),
            Panel(
                title="Wait for a busy engine",
                text="Of those who found no place at once.",
                unit="s",
                queries=_quantiles("wait_seconds"),
            ),
        ),
    ),
    Row(
        "Errors",
        (
            Panel(
                title="Share of answers with 5xx",
                unit="percentunit",
                queries=(
                    Query(
                        f"sum({_rate('requests_total', _FAILED)})"
                        f" / clamp_min(sum({_rate('requests_total')}), 1e-9)",
                        "5xx",
                    ),
                ),
            ),
            Panel(
                title="What engines did wrong",
                unit="reqps",
                queries=(_by("kind", "engine_errors_total"),),
            ),
            Panel(
                title="Streams that clients or the house cut, retries, hedges",
                unit="reqps",
                queries=(
                    _total("client_disconnects_total", "client went"),
                    _total("client_stalls_total", "client did not read"),
                    _total("drained_total", "drained"),
                    _total("retries_total", "tried again"),
                    _total("hedges_total", "asked twice"),
                ),
            ),
        ),
    ),
    Row(
        "Tokens and money",
        (
            Panel(
                title="Tokens a second",
                text="As engines count them; cached ones are part of the prompts.",
                queries=(_by("kind", "tokens_total"),),
            ),
            Panel(
                title="Billed a hour",
                unit="currencyUSD",
                is_stacked=True,
                queries=(
                    Query(f"sum by (class) ({_rate('billed_dollars_total')}) * 3600", "{{class}}"),
                ),
            ),
            Panel(
                title="The ledger",
                text="Seconds that the database has taken nothing, and cells it cannot take.",
                queries=(
                    _now("ledger_behind_seconds", "behind (s)"),
                    _now("ledger_stuck_cells", "stuck cells"),
                    _total("unmetered_total", "unmetered answers a second"),
                ),
            ),
        ),
    ),
    Row(
        "Limits",
        (
            Panel(
                title="Refused for limits, money and room",
                unit="reqps",
                queries=(_by("reason", "refusals_total"),),
            ),
            Panel(
                title="Refused for their key",
                unit="reqps",
                queries=(_by("reason", "key_refusals_total"),),
            ),
            Panel(
                title="Would have been refused (shadow mode)",
                unit="reqps",
                queries=(_by("reason", "shadow_refusals_total"),),
            ),
        ),
    ),
    Row(
        "Engines",
        (
            Panel(
                title="How engines stand",
                kind="state-timeline",
                width=12,
                queries=(
                    Query(
                        f"tokenmill_engine_standing{chosen(_ENGINE)} == 1",
                        "{{engine}} {{standing}}",
                    ),
                ),
            ),
            Panel(
                title="Engines of each pool",
                width=12,
                queries=(_now("pool_engines", "{{pool}} {{standing}}", "pool, standing"),),
            ),
            Panel(
                title="Requests by engine",
                unit="reqps",
                queries=(_by("engine", "engine_requests_total", _ENGINE),),
            ),
            Panel(
                title="Tries that ended badly",
                unit="reqps",
                queries=(
                    Query(
                        "sum by (engine, outcome) ("
                        + _rate(
                            "engine_outcomes_total",
                            f'{_ENGINE},outcome!~"complete|client_error|cancelled"',
                        )
                        + ")",
                        "{{engine}} {{outcome}}",
                    ),
                ),
            ),
            Panel(
                title="Left out, and tried elsewhere",
                queries=(
                    Query(
                        "sum by (engine, cause) ("
                        f"increase(tokenmill_engine_ejections_total{chosen(_ENGINE)}"
                        "[$__rate_interval]))",
                        "{{engine}} left out: {{cause}}",
                    ),
                    Query(
                        "sum by (engine) ("
                        f"increase(tokenmill_engine_retries_total{chosen(_ENGINE)}"
                        "[$__rate_interval]))",
                        "{{engine}} tried elsewhere",
                    ),
                ),
            ),
            Panel(
                title="Time to the first byte of a stream, p95 by engine",
                unit="s",
                queries=(
                    Query(
                        "histogram_quantile(0.95, sum by (engine, le) ("
                        + _rate("engine_first_byte_seconds_bucket", _ENGINE)
                        + "))",
                        "{{engine}}",
                    ),
                ),
            ),
            Panel(
                title="In flight by engine",
                text="Of this house, and what engines say of themselves.",
                queries=(
                    _now("engine_requests_in_flight", "{{engine}}", "engine", _ENGINE),
                    _now(
                        "engine_reported_requests",
                        "{{engine}} says: {{state}}",
                        "engine, state",
                        _ENGINE,
                    ),
                ),
            ),
            Panel(
                title="KV cache in use",
                unit="percentunit",
                queries=(
                    Query(
                        f"max by (engine) (tokenmill_engine_kv_cache_usage_ratio{chosen(_ENGINE)})",
                        "{{engine}}",
                    ),
                ),
            ),
        ),
    ),
    Row(
        "House",
        (
            Panel(title="Workers by state", queries=(_now("workers", "{{state}}", "state"),)),
            Panel(
                title="Control's memory",
                unit="bytes",
                queries=(Query(f"process_resident_memory_bytes{chosen()}", "{{instance}}"),),
            ),
            Panel(
                title="Keys, models, changes of the fleet",
                queries=(
                    _now("keys", "keys"),
                    Query(f"max(tokenmill_models{chosen()})", "models"),
                    Query(f"changes(tokenmill_fleet_generation{chosen()}[1h])", "{{instance}}"),
                ),
            ),
        ),
    ),
)
