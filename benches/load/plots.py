"""Pictures of a results file: CPU beside the peers', by case.

    ~/.cache/tokenmill/bench-peers/plots/bin/python benches/load/plots.py benches/results/FILE.json

Needs matplotlib, which `install_peers.py` puts into an environment of its own. Writes
`FILE_cpu.png` beside the file.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

CASES = ("json", "burst", "burst with usage", "paced", "paced with usage", "1 MB prompt")
COLOURS = {"tokenmill": "#c2410c", "tokenmill, 2 workers": "#fb923c"}
LEFT_OUT = ("LiteLLM",)  # a hundred times the others: its bars would hide theirs


def draw(axes: Any, loads: dict[str, Any], case: str) -> None:
    """One case: a bar a server, from least to most as a line."""
    rows = []
    for server, found in loads.items():
        used = found.get(case, {})
        cpu = used.get("tree_cpu_us") or used.get("engine_cpu_us")
        if cpu and server not in LEFT_OUT:
            rows.append((server, cpu))
    rows.reverse()
    for place, (server, cpu) in enumerate(rows):
        colour = COLOURS.get(server, "#9ca3af")
        median = cpu["median"]
        spread = [[median - cpu["min"]], [cpu["max"] - median]]
        axes.barh(place, median, color=colour, xerr=spread, ecolor="#374151", capsize=2)
        shown = f" {median:.0f}" if median >= 100 else f" {median:.3g}"
        axes.text(cpu["max"], place, shown, va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [server for server, _ in rows], fontsize=8)
    axes.margins(x=0.15)
    per = loads["engine alone"][case]["per"]
    axes.set_title(f"{case}: CPU µs a{'n answer' if per == 'answer' else ' chunk'}", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=8)


def main() -> None:
    """Draws one picture a results file."""
    for name in sys.argv[1:]:
        path = Path(name)
        result = json.loads(path.read_text())
        cases = [case for case in CASES if case in result["loads"]["engine alone"]]
        figure, axes = plt.subplots(2, (len(cases) + 1) // 2, figsize=(12, 6), squeeze=False)
        for place, case in zip(axes.flat, cases, strict=False):
            draw(place, result["loads"], case)
        for place in list(axes.flat)[len(cases) :]:
            place.set_visible(False)
        title = f"Processor time of the whole process tree, less is better · {path.stem}"
        figure.suptitle(f"{title} · {result['machine']}", fontsize=10)
        figure.tight_layout()
        figure.savefig(path.with_name(f"{path.stem}_cpu.png"), dpi=110)


if __name__ == "__main__":
    main()
