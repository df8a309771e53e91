"""The text of /metrics."""

import re

from tokenmill.engines.embedded.metrics import Gauges, Histogram, Metrics

LINE = re.compile(r"^(# TYPE \S+ (gauge|counter|histogram)|\S+\{[^}]*\} [0-9.e+-]+)$")


def gauges(model: str = "m") -> Gauges:
    return Gauges(
        model=model,
        running=2,
        waiting=1,
        context_share=0.25,
        adapters=("a", "b"),
        adapters_max=16,
        wall_s=1_700_000_000,
    )


def test_every_line_is_prometheus_text_with_vllms_names() -> None:
    text = Metrics().render(gauges())
    assert all(LINE.match(line) for line in text.splitlines())
    for line in (
        'vllm:num_requests_running{engine="0",model_name="m"} 2',
        'vllm:num_requests_waiting{engine="0",model_name="m"} 1',
        'vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.250000',
    ):
        assert line in text
    assert 'running_lora_adapters="a,b"' in text


def test_a_models_name_cannot_break_the_text() -> None:
    text = Metrics().render(gauges('a"b\n\\'))
    assert 'model_name="a\\"b\\n\\\\"' in text


def test_a_histogram_counts_at_and_below_its_bounds() -> None:
    histogram = Histogram()
    for seconds in (0.005, 0.006, 1_000):
        histogram.add(seconds)
    lines = list(histogram.lines("h", 'a="b"'))
    assert lines[0] == 'h_bucket{le="0.005",a="b"} 1'
    assert lines[1] == 'h_bucket{le="0.01",a="b"} 2'
    assert lines[-3] == 'h_bucket{le="+Inf",a="b"} 3'
    assert lines[-2] == 'h_count{a="b"} 3'
