"""Runs the native benches and writes what they found into one results file.

`.venv/bin/python benches/rust/record.py [--only framer admission] [--seconds 3]`. Times are
nanoseconds: the median, the bounds of its 95 % confidence interval, and the least of all samples,
which other load on the machine raises last. Some minutes.
"""

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benches" / "load"))

from run import RESULTS, described  # noqa: E402

BENCHES = ("framer", "key_lookup", "admission", "routing")
MEASURED = ROOT / "target" / "criterion"


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=BENCHES)
    parser.add_argument("--seconds", default="3", help="of one measurement")
    given = parser.parse_args()
    began = time.time()
    for name in given.only:
        command = ["cargo", "bench", "-q", "--locked", "-p", "tokenmill-benches"]
        command += ["--bench", name, "--", "--measurement-time", given.seconds]
        subprocess.run(command, cwd=ROOT, check=True)
    result = described() | {"benches": measured_since(began)}
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}_{result['commit']}_native.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {path}")


def measured_since(began: float) -> dict[str, dict[str, Any]]:
    """What was measured after `began`, by name."""
    found = {}
    for place in sorted(MEASURED.rglob("new/estimates.json")):
        if place.stat().st_mtime >= began:
            bench = json.loads(place.with_name("benchmark.json").read_text())
            figures = _figures(json.loads(place.read_text()), bench["throughput"])
            least = _least(json.loads(place.with_name("sample.json").read_text()))
            found[bench["full_id"]] = figures | {"ns_least": least}
    return found


def _least(sample: dict[str, Any]) -> float:
    pairs = zip(sample["times"], sample["iters"], strict=True)
    return round(min(time_ns / count for time_ns, count in pairs), 1)


def _figures(estimates: dict[str, Any], throughput: dict[str, int] | None) -> dict[str, float]:
    median, bounds = estimates["median"], estimates["median"]["confidence_interval"]
    ns = median["point_estimate"]
    figures = {"ns": ns, "ns_low": bounds["lower_bound"], "ns_high": bounds["upper_bound"]}
    for unit, amount in (throughput or {}).items():
        figures[f"{unit.lower()}_per_s"] = amount * 1e9 / ns
    return {name: round(figure, 1) for name, figure in figures.items()}


if __name__ == "__main__":
    main()
