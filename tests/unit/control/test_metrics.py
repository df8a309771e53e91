"""What the private listener tells, by Prometheus' own reader of its text."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tokenmill._native import COUNTERS, WorkerState
from tokenmill.control.metrics import HouseCollector
from tokenmill.control.samples import parse_sample
from tokenmill.models.fleet import Fleet


class CountedSegment:
    """A segment with one serving worker, whose counters count up from 1."""

    def totals(self) -> list[int]:
        return list(range(1, len(COUNTERS) + 1))

    def key_count(self) -> int:
        return 3

    def worker_state(self, worker: int) -> WorkerState:
        return WorkerState.SERVING if worker == 0 else WorkerState.FREE

    def worker_in_flight(self, worker: int) -> int:
        return 5 if worker == 0 else 0

    def waiting(self) -> int:
        return 4


@pytest.fixture
def samples() -> Iterator[dict[str, float]]:
    registry = CollectorRegistry()
    registry.register(HouseCollector(CountedSegment(), 2, Fleet))
    text = generate_latest(registry).decode()
    yield {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_counter_of_the_segment_is_told(samples: dict[str, float]) -> None:
    for index, name in enumerate(COUNTERS):
        told = parse_sample(name)
        assert samples[f"{told.name}{sorted(told.labels.items())}"] == (index + 1) / told.unit


def test_workers_and_keys_are_told(samples: dict[str, float]) -> None:
    assert samples["tokenmill_workers[('state', 'serving')]"] == 1
    assert samples["tokenmill_workers[('state', 'draining')]"] == 0
    assert samples["tokenmill_requests_in_flight[]"] == 5
    assert samples["tokenmill_requests_waiting[]"] == 4
    assert samples["tokenmill_keys[]"] == 3


SAMPLES = [
    ('tokenmill_tokens_total{kind="prompt"}', ("tokenmill_tokens", "counter", {"kind": "prompt"})),
    ("tokenmill_streams_total", ("tokenmill_streams", "counter", {})),
    (
        'tokenmill_duration_milliseconds_bucket{le="+Inf"}',
        ("tokenmill_duration_seconds", "histogram", {"le": "+Inf"}),
    ),
    (
        'tokenmill_first_byte_milliseconds_bucket{le="2500"}',
        ("tokenmill_first_byte_seconds", "histogram", {"le": "2.5"}),
    ),
    (
        "tokenmill_duration_milliseconds_sum",
        ("tokenmill_duration_seconds", "histogram", {}),
    ),
]


@pytest.mark.parametrize(("name", "parts"), SAMPLES)
def test_a_samples_name_says_its_family(name: str, parts: tuple[str, str, dict[str, str]]) -> None:
    sample = parse_sample(name)
    assert (sample.family, sample.type, sample.labels) == parts
