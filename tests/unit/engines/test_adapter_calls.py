"""Which adapters an engine is busy with, by its metrics."""

import pytest

from tokenmill.engines.adapter_calls import read_use

BUSY = b"vllm:num_requests_running 1.0\nvllm:num_requests_waiting 0.0\n"


def info(running: str, waiting: str, at: str) -> bytes:
    labels = f'max_lora="2",running_lora_adapters="{running}",waiting_lora_adapters="{waiting}"'
    return f"vllm:lora_requests_info{{{labels}}} {at}\n".encode()


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (BUSY + info("a,b", "c", "1.7e+09"), {"a", "b", "c"}),
        # Every change leaves a line behind; the newest is true.
        (BUSY + info("old", "", "1.1e+09") + info("a", "", "1.2e+09"), {"a"}),
        (BUSY + info("", "", "1.2e+09"), set()),
        (BUSY, set()),
        # An idle engine's last line may be of its last request.
        (b"vllm:num_requests_running 0.0\n" + info("a", "", "1.2e+09"), set()),
        (b"something else 1\n", None),
    ],
)
def test_the_adapters_in_use(metrics: bytes, expected: set[str] | None) -> None:
    assert read_use(metrics) == expected


def test_a_line_without_a_number_is_no_reason_to_fail() -> None:
    assert read_use(BUSY + info("a", "", "1.2.3e") + info("b", "", "5")) == {"b"}
