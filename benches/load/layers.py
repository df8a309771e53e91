"""Where the processor time of a worker goes, by layer: a profile of some loads.

    .venv/bin/python benches/load/layers.py

Needs `perf`. Writes `results/<date>_<commit>_layers.json` and, with matplotlib, a picture. Shares
are those of perf's samples; what they are shares of is measured without it.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from build import build
from cases import CASES, Case
from peers import GATEWAY, Server
from run import RESULTS, Bench, described

LOADS = ("json", "json, 1 connection", "burst", "paced", "1 MB prompt")
SECONDS = 4.0
HERTZ = "1999"
LAYERS = (
    "kernel, event loop",
    "kernel, HTTP server",
    "kernel, I/O thread",
    "HTTP server (Granian)",
    "Python",
    "event loop (uvloop)",
    "JSON (msgspec)",
    "gateway's Rust",
    "C library and others",
)


FILES = (
    ("_native", "gateway's Rust"),
    ("_granian", "HTTP server (Granian)"),
    ("uvloop/", "event loop (uvloop)"),
    ("msgspec/", "JSON (msgspec)"),
    ("libpython", "Python"),
)
"""In which file the code of a layer is."""


def layer_of(worker: int, thread: int, name: str, file: str) -> str:
    """The layer of a sample: of which thread it is, and in which file its code is."""
    if "kernel" in file:
        if name == "tokenmill-io":
            return "kernel, I/O thread"
        return "kernel, event loop" if thread == worker else "kernel, HTTP server"
    return next((layer for part, layer in FILES if part in file), "C library and others")


def shares(worker: int, recording: Path) -> dict[str, float]:
    """Of all samples, the part of each layer."""
    command = ["perf", "script", "-i", str(recording), "-F", "comm,tid,ip,dso", "-G"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    counted: Counter[str] = Counter()
    for line in text.splitlines():
        before, _, file = line.rpartition("(")
        name, thread, _address = before.rsplit(maxsplit=2)
        counted[layer_of(worker, int(thread), name.strip(), file)] += 1
    total = max(sum(counted.values()), 1)
    return {layer: counted[layer] / total for layer in LAYERS}


def profile(bench: Bench, server: Server, case: Case, folder: Path) -> dict[str, Any]:
    """Microseconds of the worker an answer or chunk, by layer."""
    plain = bench.load(case, server)
    [worker] = [pid for pid, words in server.tree().items() if "gateway.worker" in words]
    recording = folder / "perf.data"
    command = ["perf", "record", "-q", "-F", HERTZ, "-p", str(worker), "-o", str(recording)]
    perf = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    bench.load(case, server)
    perf.terminate()
    perf.wait()
    count = plain["events" if case.per == "chunk" else "answers"]
    used = {name: each["cpu_ns"] / 1000 / count for name, each in plain["processes"].items()}
    parts = shares(worker, recording)
    return {
        "per": case.per,
        "tree_us": round(used["tree"], 2),
        "worker_us": round(used["worker"], 2),
        "layers_us": {layer: round(used["worker"] * part, 2) for layer, part in parts.items()},
    }


def draw(found: dict[str, Any], path: Path) -> None:
    """A bar a load, a colour a layer."""
    import matplotlib as library

    library.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 3.6))
    left = [0.0] * len(found)
    for number, layer in enumerate(LAYERS):
        parts = [each["layers_us"][layer] / each["worker_us"] * 100 for each in found.values()]
        axes.barh(list(found), parts, left=left, label=layer, color=f"C{number}")
        left = [before + part for before, part in zip(left, parts, strict=True)]
    names = [f"{name}\n{each['worker_us']:.0f} µs" for name, each in found.items()]
    axes.set_yticks(range(len(found)), names)
    axes.invert_yaxis()
    axes.set_xlabel("% of the worker's processor time")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3, fontsize=8)
    figure.savefig(path, dpi=110, bbox_inches="tight")


def main() -> None:
    """Builds, profiles, writes."""
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
        draw(json.loads(path.read_text())["loads"], path.with_suffix(".png"))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(build(folder), folder, SECONDS)
        try:
            server = bench.start(GATEWAY)
            try:
                chosen = [case for case in CASES if case.name in LOADS]
                found = {case.name: profile(bench, server, case, folder) for case in chosen}
            finally:
                server.stop()
        finally:
            bench.engine.kill()
    result = described() | {"seconds": SECONDS, "loads": found}
    path = RESULTS / f"{result['measured'][:10]}_{result['commit']}_layers.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(found, indent=1), path)
    try:
        draw(found, path.with_suffix(".png"))
    except ImportError:
        print("no picture: matplotlib is not installed")


if __name__ == "__main__":
    main()
