"""How busy a vLLM says it is: pure, from the text of its metrics.

Requests that run and wait and how full its KV cache is, summed (the fullest, for the cache) over
the engine cores behind one address.
"""

import re

from msgspec import Struct

_SAMPLE = re.compile(
    rb"^vllm:(num_requests_running|num_requests_waiting|kv_cache_usage_perc|gpu_cache_usage_perc)"
    rb"(?:\{[^}\n]*\})? ([0-9.eE+-]+)\s*$",
    re.M,
)
_COUNT_MAX = 1_000_000


class LoadReport(Struct, frozen=True):
    """What an engine has to do now."""

    running: int
    waiting: int
    cache_permille: int


def read_load(metrics: bytes) -> LoadReport | None:
    """The load in a Prometheus text; None where it is not a vLLM's."""
    running = waiting = fullest = 0.0
    seen = False
    for name, text in _SAMPLE.findall(metrics):
        try:
            value = float(text)
        except ValueError:
            continue
        if not 0 <= value <= _COUNT_MAX:
            continue
        seen = True
        if name == b"num_requests_running":
            running += value
        elif name == b"num_requests_waiting":
            waiting += value
        else:
            fullest = max(fullest, value)
    if not seen:
        return None
    return LoadReport(int(running), int(waiting), min(round(fullest * 1000), 1000))
