"""The settings of tokenmill: one frozen value, built once by the command line and passed down.

Only names, types, defaults and bounds stand here; `configuration/sources.py` fills them from flags,
environment and TOML file and knows where each value came from. Units are the last word of a name.
"""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Milliseconds = Annotated[int, Meta(ge=1, le=86_400_000)]
Permits = Annotated[int, Meta(ge=0, le=100_000_000)]
Places = Annotated[int, Meta(ge=0, le=1_000_000)]
Weight = Annotated[int, Meta(ge=1, le=1_000)]
PriceText = Annotated[str, Meta(pattern=r"^[0-9]{1,12}(/[0-9]{1,12}){1,2}$")]
Nanos = Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
RoutingPolicyName = Literal["prefix", "power_of_two", "session"]
LogFormat = Literal["auto", "pretty", "json"]


class EngineSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An engine named by the operator. On the command line just its URL."""

    url: str
    name: str = ""
    api_key: str = ""
    requests_max: Places = 0  # at once; 0: as queue.engine_requests_max says


class BodyBounds(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bounds of what a client may send: tight enough for what is known to stall or kill engines."""

    body_bytes_max: Count = 10 * 1024 * 1024
    body_deadline_base_ms: Milliseconds = 10_000
    body_bytes_per_s_min: Count = 64 * 1024
    depth_max: Count = 64
    messages_max: Count = 2_048
    tools_max: Count = 128
    choices_max: Annotated[int, Meta(ge=1, le=128)] = 128
    stop_bytes_max: Count = 256
    logit_bias_max: Count = 1_024
    schema_bytes_max: Count = 64 * 1024
    schema_depth_max: Count = 16
    schema_nodes_max: Count = 5_000
    enum_values_max: Count = 1_000
    regex_bytes_max: Count = 512
    embedding_inputs_max: Count = 2_048
    embedding_tokens_max: Count = 8_192
    unknown_fields: Literal["refuse", "ignore"] = "refuse"


class ForwardSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long an engine may take, and how much of an answer is held for a slow reader."""

    connect_ms: Milliseconds = 2_000
    first_byte_ms: Milliseconds = 600_000
    stall_ms: Milliseconds = 120_000
    comment_ms: Milliseconds = 10_000
    reader_stall_ms: Milliseconds = 60_000
    buffer_bytes_max: Count = 256 * 1024
    event_bytes_max: Count = 4 * 1024 * 1024
    answer_bytes_max: Count = 64 * 1024 * 1024
    idle_connections_max: Count = 256


class RoutingSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an engine is chosen among those that serve a model, and by model id where it differs."""

    policy: RoutingPolicyName = "prefix"
    models: dict[str, RoutingPolicyName] = field(default_factory=dict)
    # What names a session, for that policy: this header, else the request's `user`.
    session_header: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,64}$")] = "x-session-id"
    # Each account has a part of vLLM's prefix cache of its own: nobody can time what others asked.
    cache_salt: bool = False
    # A stream that begins later than nineteen of twenty did is asked of a second engine as well;
    # the sooner answer counts.
    hedge: bool = False


class AdapterSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """LoRA adapters that are loaded when they are asked for: how many an engine holds at once, how
    long a load may take, how many may be named."""

    resident_max: Annotated[int, Meta(ge=1, le=1_000)] = 8
    load_ms: Annotated[int, Meta(ge=100, le=600_000)] = 30_000
    named_max: Annotated[int, Meta(ge=0, le=10_000)] = 1_000


class DiscoverySettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a vLLM of this machine is looked for, and how often."""

    enabled: bool = True
    ports: tuple[Port, ...] = (8000, 8001, 8002)
    interval_ms: Milliseconds = 500
    probe_ms: Milliseconds = 1_000


class KubernetesSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Engines of a cluster: the EndpointSlices that a label selector names."""

    selector: str = ""  # such as kubernetes.io/service-name=vllm; empty: none are looked for
    namespace: str = ""  # empty: this pod's
    port: str = ""  # of the engines, by name or number; empty: the first of the slice
    scheme: Literal["http", "https"] = "http"
    api_key: str = ""  # that the engines ask for
    api_url: str = ""  # empty: of the cluster that this runs in
    # The service account's token, ca.crt and namespace.
    account: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    watch_s: Annotated[int, Meta(ge=5, le=3_600)] = 60  # a dead connection is noticed after that


class JoinSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Engines that register themselves (`tokenmill join`): from where, for how long, how many."""

    # Where their addresses may lie: by default what is private by RFC 1918, 4193 and 6598.
    networks: tuple[str, ...] = (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "fc00::/7",
    )
    lease_ms: Annotated[int, Meta(ge=3_000, le=3_600_000)] = 15_000
    engines_max: Annotated[int, Meta(ge=0, le=4_096)] = 128  # 0: none


class HttpSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The outer face: CORS, keys in the query, connections."""

    cors_origins: tuple[str, ...] = ()
    query_api_key: bool = True
    # Also how long a kept connection may be idle: more than what a proxy in front keeps its own.
    header_read_ms: Annotated[int, Meta(ge=1, le=60_000)] = 10_000
    connections_max: Count = 20_000


class SegmentSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sizes of the hot segment; changing one makes a new segment at the next start."""

    keys_max: Count = 65_536
    workers_max: Annotated[int, Meta(ge=2, le=1_024)] = 64
    engines_max: Annotated[int, Meta(ge=1, le=4_096)] = 256
    accounts_max: Annotated[int, Meta(ge=2, le=1_048_576)] = 65_536  # account numbers are below it
    cells_max: Annotated[int, Meta(ge=16, le=65_536)] = 32_768


class TierSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the accounts of one tier may do; 0 is no limit."""

    requests_per_min: Permits = 0
    tokens_per_min: Permits = 0
    concurrency_max: Annotated[int, Meta(ge=0, le=65_535)] = 0
    weight: Weight = 1  # its share of engines that are busy, see `queue`


class FreeTierSettings(TierSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The tier of new accounts."""

    requests_per_min: Permits = 20
    tokens_per_min: Permits = 40_000


class StandardTierSettings(TierSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The tier of most accounts."""

    requests_per_min: Permits = 60
    tokens_per_min: Permits = 150_000
    weight: Weight = 2


class ProTierSettings(TierSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The tier for heavy use; "premium" is another name for it."""

    requests_per_min: Permits = 200
    tokens_per_min: Permits = 500_000
    weight: Weight = 4


class InternalTierSettings(TierSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The tier of whoever runs the house: without limits, with a wallet."""

    weight: Weight = 4


class LimitSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How limits and balances are applied. `shadow`: they are counted and refuse nothing."""

    shadow: bool = False


class QueueSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What happens when engines are busy: how many requests an engine takes at once, how many more
    may wait in a worker and how long. Accounts take turns by the weight of their tier."""

    engine_requests_max: Places = 0  # of each engine, over all workers; 0: any number, none waits
    waiting_max: Annotated[int, Meta(ge=0, le=100_000)] = 256
    wait_ms: Milliseconds = 5_000


class PriceSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a token costs, in nanos (billionths of a dollar)."""

    prompt_nanos: Nanos = 100
    cached_nanos: Nanos = 100  # a token of the prompt that the engine had in its cache
    completion_nanos: Nanos = 100
    embedding_nanos: Nanos = 20
    batch_1h_percent: Annotated[int, Meta(ge=0, le=100)] = 70
    batch_24h_percent: Annotated[int, Meta(ge=0, le=100)] = 50
    # By model id: "prompt/completion" or "prompt/cached/completion" in nanos.
    models: dict[str, PriceText] = field(default_factory=dict)


class RedisSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The Redis of `redis_url`: how long it may take; what is done about lost data and houses."""

    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "tokenmill"
    connect_ms: Annotated[int, Meta(ge=1, le=5_000)] = 500
    answer_ms: Annotated[int, Meta(ge=1, le=5_000)] = 1_000  # a request waits no longer than this
    # Where it lost data, requests are refused until every house has said what it holds.
    closed_ms: Annotated[int, Meta(ge=1_000, le=600_000)] = 3_000
    # What a house holds that gives no sign of life for so long is given back.
    house_lost_s: Annotated[int, Meta(ge=5, le=86_400)] = 300


class UsageSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long the row of each settled request is kept; sums by the hour stay for ever."""

    rows_kept_days: Annotated[int, Meta(ge=1, le=36_500)] = 90


class EmbeddedSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The embedded engine: streams at once, how many may wait, threads of its model."""

    enabled: bool = True
    sequences_max: Annotated[int, Meta(ge=1, le=256)] = 32
    waiting_max: Annotated[int, Meta(ge=0, le=100_000)] = 256
    threads: Annotated[int, Meta(ge=1, le=256)] = 1


class GrammarSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Schemas as grammars: what a strict one means, and how much compiling may cost a worker."""

    # Objects of a `strict: true` schema that declare properties take no others, unless it says so.
    strict_closes_objects: bool = True
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    waiting_max: Annotated[int, Meta(ge=1, le=10_000)] = 64
    cache_bytes_max: Count = 64 * 1024 * 1024
    text_bytes_max: Count = 512 * 1024  # of one grammar; engines take seconds to load more
    # Work on one schema, in counts, so that a schema is refused everywhere or nowhere: alternatives
    # that are combined, states of an automaton, steps of the whole (5 to 15 ns each), rules. They
    # keep a compilation under a quarter of a second.
    alternatives_max: Count = 20_000
    states_max: Count = 6_000
    steps_max: Count = 16_000_000
    rules_max: Count = 60_000
    new_schemas_per_minute_max: Count = 120  # of one account, by one worker
    # A new one is made ready on the other vLLMs of its pool, once each, by a request of one token.
    warm_up: bool = True


class VllmSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A supervised `vllm serve`, started for `--model` where vLLM and a usable GPU are there."""

    command: tuple[str, ...] = ()  # empty: `vllm serve` if it is installed and a GPU is usable
    arguments: tuple[str, ...] = ()
    start_s: Seconds = 600.0


class MetricsSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The private listener of Prometheus metrics; port 0 switches it off."""

    host: str = "127.0.0.1"
    port: Port = 9464


class TracingSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """OpenTelemetry spans of requests (the extra `otel`); without an endpoint there are none."""

    endpoint: str = ""  # OTLP over HTTP, such as http://collector:4318
    # Of requests whose client is in no trace; of others, those that the client sampled.
    ratio: Annotated[float, Meta(ge=0, le=1)] = 1.0
    service: Annotated[str, Meta(min_length=1, max_length=100)] = "tokenmill"
    headers: dict[str, str] = field(default_factory=dict)  # that the collector asks for


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be set. `tokenmill config show` prints it with its sources."""

    host: str = "127.0.0.1"
    port: Port = 8080
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    state: Path = field(default_factory=lambda: Path("~/.local/state/tokenmill").expanduser())
    engines: tuple[EngineSettings, ...] = ()
    model: str = ""
    aliases: dict[str, str] = field(default_factory=dict)
    database_url: str = ""  # empty: SQLite in the state folder
    redis_url: str = ""  # empty: limits and wallets are this house's own
    drain_seconds: Seconds = 30.0
    # A worker or control whose event loop does not turn for so long is killed and replaced.
    stuck_seconds: Annotated[float, Meta(ge=3, le=3_600)] = 10.0
    # A second control waits, in 60 MB, so that a dead one is replaced in half a second, not in one.
    standby: bool = True
    log_format: LogFormat = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    bounds: BodyBounds = field(default_factory=BodyBounds)
    forward: ForwardSettings = field(default_factory=ForwardSettings)
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    adapters: AdapterSettings = field(default_factory=AdapterSettings)
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)
    join: JoinSettings = field(default_factory=JoinSettings)
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    segment: SegmentSettings = field(default_factory=SegmentSettings)
    embedded: EmbeddedSettings = field(default_factory=EmbeddedSettings)
    grammar: GrammarSettings = field(default_factory=GrammarSettings)
    vllm: VllmSettings = field(default_factory=VllmSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    queue: QueueSettings = field(default_factory=QueueSettings)
    tier_free: FreeTierSettings = field(default_factory=FreeTierSettings)
    tier_standard: StandardTierSettings = field(default_factory=StandardTierSettings)
    tier_pro: ProTierSettings = field(default_factory=ProTierSettings)
    tier_internal: InternalTierSettings = field(default_factory=InternalTierSettings)
    prices: PriceSettings = field(default_factory=PriceSettings)
    redis: RedisSettings = field(default_factory=RedisSettings)
    usage: UsageSettings = field(default_factory=UsageSettings)
