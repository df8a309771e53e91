"""What is told about engines and pools, by Prometheus' own reader of its text."""

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.gateway import route
from tokenmill._native import ENGINE_COUNTERS
from tokenmill.control import engine_metrics
from tokenmill.control.engine_metrics import EngineCollector, EngineReading, shown_pools
from tokenmill.control.samples import parse_sample
from tokenmill.engines.load_report import LoadReport
from tokenmill.engines.views import EngineView
from tokenmill.models.fleet import Fleet

GPU = EngineView(
    name="gpu",
    url="http://gpu:1",
    kind="vllm",
    state="serving",
    version="1",
    models=("m",),
    account="",
    detail="",
    origin="named",
    in_flight=2,
    standing="warming",
)
GONE = msgspec.structs.replace(GPU, name="gone", state="gone", in_flight=0, standing="gone")
READINGS = [EngineReading(GPU, 3, LoadReport(5, 1, 250)), EngineReading(GONE, None, None)]
FLEET = Fleet(pools=((3,), (3,)), routes=(route("m"), route("m-lora", parent="m", pool=1)))


class CountedSegment:
    """An engine's counters count up from a hundred times its slot."""

    def engine_totals(self, engine: int) -> list[int]:
        return [100 * engine + index for index in range(len(ENGINE_COUNTERS))]


def told(readings: list[EngineReading] = READINGS, fleet: Fleet = FLEET) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(EngineCollector(CountedSegment(), lambda: readings, lambda: fleet))
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def test_every_counter_of_an_engine_is_told_with_its_name() -> None:
    samples = told()
    for index, name in enumerate(ENGINE_COUNTERS):
        sample = parse_sample(name)
        labels = sorted((sample.labels | {"engine": "gpu"}).items())
        assert samples[f"{sample.name}{labels}"] == (300 + index) / sample.unit
    assert not any("gone" in name for name in samples if "_total" in name), "it has no slot"


def test_how_an_engine_stands_and_what_it_says_is_told() -> None:
    samples = told()
    assert samples["tokenmill_engine_up[('engine', 'gpu'), ('kind', 'vllm')]"] == 1
    assert samples["tokenmill_engine_up[('engine', 'gone'), ('kind', 'vllm')]"] == 0
    assert samples["tokenmill_engine_requests_in_flight[('engine', 'gpu')]"] == 2
    standing = "tokenmill_engine_standing[('engine', 'gpu'), ('standing', '{}')]"
    assert samples[standing.format("warming")] == 1
    assert samples[standing.format("serving")] == 0
    reported = "tokenmill_engine_reported_requests[('engine', 'gpu'), ('state', '{}')]"
    assert [samples[reported.format(each)] for each in ("running", "waiting")] == [5, 1]
    assert samples["tokenmill_engine_kv_cache_usage_ratio[('engine', 'gpu')]"] == 0.25
    assert "tokenmill_engine_kv_cache_usage_ratio[('engine', 'gone')]" not in samples


def test_a_pool_is_named_by_its_model_and_adapters_are_none() -> None:
    samples = told()
    engines = "tokenmill_pool_engines[('pool', 'm'), ('standing', '{}')]"
    assert [samples[engines.format(each)] for each in ("serving", "warming")] == [0, 1]
    assert samples["tokenmill_pool_requests_in_flight[('pool', 'm')]"] == 2
    assert samples["tokenmill_pool_engine[('engine', 'gpu'), ('pool', 'm')]"] == 1
    assert not any("m-lora" in name for name in samples)


def test_labels_are_bounded_whatever_engines_serve() -> None:
    count = 2_000
    fleet = Fleet(pools=((3,),) * count, routes=tuple(route(f"m{n}", pool=n) for n in range(count)))
    assert len(shown_pools(fleet)) == engine_metrics.POOLS_SHOWN_MAX
    wide = Fleet(pools=(tuple(range(count)),), routes=(route("m"),))
    readings = [
        EngineReading(msgspec.structs.replace(GPU, name=f"e{slot}"), slot, None)
        for slot in range(count)
    ]
    lines = [name for name in told(readings, wide) if name.startswith("tokenmill_pool_engine[")]
    assert len(lines) == engine_metrics.POOL_ENGINES_SHOWN_MAX
