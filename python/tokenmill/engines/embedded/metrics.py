"""The engine's counters, as Prometheus text with vLLM's names. Pure but for the numbers it holds.

Everything is counted on the event loop, so there are no locks. Tokens are counted as the pieces
come and corrected by the last piece, which knows.
"""

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
FINISHES = ("stop", "length", "abort", "error")


class Histogram:
    """Counts of durations below each bound."""

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Counts one duration."""
        self._counts[sum(seconds > bound for bound in SECONDS)] += 1
        self._sum += seconds

    def lines(self, name: str, labels: str) -> Iterable[str]:
        """The exposition lines."""
        total = 0
        for bound, count in zip((*map(str, SECONDS), "+Inf"), self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}",{labels}}} {total}'
        yield f"{name}_count{{{labels}}} {total}"
        yield f"{name}_sum{{{labels}}} {self._sum:.6f}"


class Gauges(Struct, frozen=True, kw_only=True):
    """What is read when somebody asks."""

    model: str
    running: int
    waiting: int
    context_share: float  # of all tokens that the running sequences could hold at most
    adapters: tuple[str, ...]
    adapters_max: int
    wall_s: int


class Metrics:
    """The counters of the process."""

    def __init__(self) -> None:
        self.prompt_tokens = 0
        self.generation_tokens = 0
        self.finished: Counter[str] = Counter()
        self.first_token = Histogram()
        self.whole_answer = Histogram()
        self.running_adapters: Counter[str] = Counter()
        self.held_tokens = 0  # prompt and generated tokens of what is running

    def render(self, gauges: Gauges) -> str:
        """The text of /metrics."""
        labels = f'engine="0",model_name="{_escape(gauges.model)}"'
        lines: list[str] = []
        for name, value in (
            ("num_requests_running", gauges.running),
            ("num_requests_waiting", gauges.waiting),
            ("kv_cache_usage_perc", f"{gauges.context_share:.6f}"),
        ):
            lines += [f"# TYPE vllm:{name} gauge", f"vllm:{name}{{{labels}}} {value}"]
        for name, count in (
            ("prompt_tokens", self.prompt_tokens),
            ("generation_tokens", self.generation_tokens),
        ):
            lines += [f"# TYPE vllm:{name} counter", f"vllm:{name}_total{{{labels}}} {count}"]
        lines.append("# TYPE vllm:request_success counter")
        for reason in FINISHES:
            count = self.finished[reason]
            lines.append(
                f'vllm:request_success_total{{finished_reason="{reason}",{labels}}} {count}'
            )
        for name, histogram in (
            ("time_to_first_token_seconds", self.first_token),
            ("e2e_request_latency_seconds", self.whole_answer),
        ):
            lines.append(f"# TYPE vllm:{name} histogram")
            lines += histogram.lines(f"vllm:{name}", labels)
        running = _escape(",".join(gauges.adapters))
        lines += [
            "# TYPE vllm:lora_requests_info gauge",
            f'vllm:lora_requests_info{{max_lora="{gauges.adapters_max}",'
            f'running_lora_adapters="{running}",waiting_lora_adapters=""}} {gauges.wall_s}',
        ]
        return "\n".join(lines) + "\n"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
