"""A picture of a simulator's results: p99 time to the first token by trace, fleet and policy.

    python benches/routing/plot.py benches/results/FILE.json

Needs matplotlib. Writes `FILE.png` beside the file. Of several seeds the median is drawn.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

OURS = {"prefix": "#c2410c", "session": "#ea580c", "power_of_two": "#fb923c"}


def medians(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a policy, in the order of the file."""
    policies = list(dict.fromkeys(row["policy"] for row in rows))
    found = []
    for policy in policies:
        of_policy = [row for row in rows if row["policy"] == policy]
        values = {
            name: statistics.median(row[name] for row in of_policy)
            for name in ("p99_ms", "hit_percent")
        }
        found.append(of_policy[0] | values)
    return found


def draw(axes: Any, rows: list[dict[str, Any]]) -> None:
    """One trace over one fleet: a bar a policy, its hits beside it."""
    rows = medians(rows)[::-1]
    for place, row in enumerate(rows):
        axes.barh(place, row["p99_ms"], color=OURS.get(row["policy"], "#9ca3af"))
        shown = f" {row['p99_ms']:,.0f} ms, {row['hit_percent']:.0f} % hits"
        axes.text(row["p99_ms"], place, shown, va="center", fontsize=7)
    axes.set_yticks(range(len(rows)), [row["policy"] for row in rows], fontsize=7)
    axes.margins(x=0.45)
    axes.set_title(f"{rows[0]['trace']}, {rows[0]['engines']} engines", fontsize=8)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xticks([])


def main() -> None:
    """Draws one picture a results file."""
    for name in sys.argv[1:]:
        path = Path(name)
        rows = json.loads(path.read_text())
        traces = list(dict.fromkeys(row["trace"] for row in rows))
        fleets = list(dict.fromkeys(row["engines"] for row in rows))
        size = (5 * len(fleets), 2 * len(traces))
        figure, grid = plt.subplots(len(traces), len(fleets), figsize=size, squeeze=False)
        for line, trace in zip(grid, traces, strict=True):
            for axes, engines in zip(line, fleets, strict=True):
                race = [r for r in rows if (r["trace"], r["engines"]) == (trace, engines)]
                if race:
                    draw(axes, race)
                else:
                    axes.axis("off")
        figure.suptitle(f"p99 time to the first token, less is better · {path.stem}", fontsize=10)
        figure.tight_layout()
        figure.savefig(path.with_suffix(".png"), dpi=90)


if __name__ == "__main__":
    main()
