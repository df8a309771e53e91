"""From what each load found to medians with their spread, and to tables.

python benches/load/tables.py benches/results/FILE_load.json
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

Loads = dict[str, dict[str, list[dict[str, Any]]]]


def summarise(cases: dict[str, str], loads: Loads) -> dict[str, dict[str, Any]]:
    """Median, least and most of each figure, by server and case. Times are microseconds."""
    return {
        server: {name: _figures(cases[name], rounds) for name, rounds in found.items()}
        for server, found in loads.items()
    }


def _figures(per: str, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    counted = "events" if per == "chunk" else "answers"
    found: dict[str, Any] = {"per": per}
    for process in ("tree", "worker", "engine", "client"):
        used = [
            load["processes"][process]["cpu_ns"] / 1000 / max(load[counted], 1)
            for load in rounds
            if process in load["processes"]
        ]
        if any(used):
            found[f"{process}_cpu_us"] = spread(used)
    found["per_s"] = spread([load[counted] / load["seconds"] for load in rounds])
    if per == "answer":
        found["p50_us"] = spread([load["p50_us"] for load in rounds])
        found["p99_us"] = spread([load["p99_us"] for load in rounds])
    last = rounds[-1]["processes"]
    found["resident_kb"] = last.get("tree", last["engine"])["resident_kb"]
    return found


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most."""
    median = statistics.median(values)
    return {"median": round(median, 3), "min": round(min(values), 3), "max": round(max(values), 3)}


def tables(result: dict[str, Any]) -> str:
    """The results as Markdown."""
    loads, started = result["loads"], result["start_up"]
    cases = list(dict.fromkeys(name for found in loads.values() for name in found))
    lines = ["", "CPU of the process tree, µs an answer or chunk: median (least to most)", ""]
    lines += _table(["", *cases], [[server, *_cpu(loads[server], cases)] for server in loads])
    waits = [name for name in cases if name.startswith("json")]
    lines += ["", "Time to the answer beyond the engine's alone, ms: p50, p99", ""]
    rows = [[server, *_added(loads, server, waits)] for server in loads if server in started]
    lines += _table(["", *waits], rows)
    lines += ["", "Start-up to the first answer, memory", ""]
    rows = [[name, *_start(found)] for name, found in started.items() if "seconds" in found]
    lines += _table(["", "s", "MiB", "of them the workers", "KiB an open stream"], rows)
    left_out = {name: found["left_out"] for name, found in started.items() if "left_out" in found}
    lines += ["", *(f"Left out: {name} ({reason})" for name, reason in left_out.items())]
    return "\n".join(lines)


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    body = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(row) + " |" for row in body]


def _cpu(found: dict[str, Any], cases: list[str]) -> list[str]:
    shown = []
    for name in cases:
        case = found.get(name, {})
        used = case.get("tree_cpu_us") or case.get("engine_cpu_us")
        shown.append(_span(used) if used else "–")
    return shown


def _span(used: dict[str, float]) -> str:
    digits = 0 if used["median"] >= 100 else 1 if used["median"] >= 10 else 2
    low, high = f"{used['min']:.{digits}f}", f"{used['max']:.{digits}f}"
    return f"{used['median']:.{digits}f} ({low}–{high})"


def _added(loads: dict[str, Any], server: str, cases: list[str]) -> list[str]:
    shown = []
    for name in cases:
        alone, found = loads["engine alone"][name], loads[server][name]
        added = [(found[p]["median"] - alone[p]["median"]) / 1000 for p in ("p50_us", "p99_us")]
        shown.append(f"{added[0]:.2f}, {added[1]:.2f}")
    return shown


def _start(found: dict[str, Any]) -> list[str]:
    worker, stream = found.get("worker_resident_kb"), found.get("stream_kb")
    return [
        f"{statistics.median(found['seconds']):.2f}",
        f"{found['resident_kb'] / 1024:.0f}",
        f"{worker / 1024:.0f}" if worker else "–",
        "–" if stream is None else f"{stream:.0f}",
    ]


if __name__ == "__main__":
    print(tables(json.loads(Path(sys.argv[1]).read_text())))
