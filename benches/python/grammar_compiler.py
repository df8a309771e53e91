"""The grammar compiler on labelled schemas, beside xgrammar's own and llguidance: coverage,
soundness, and what an engine pays.

    pip install llguidance matplotlib    # for that one, and for the picture alone
    python benches/python/grammar_compiler.py SCHEMAS.jsonl --vocabulary tekken.json --every 5

Takes a file of JSON lines, `{"id", "schema", "tests": [{"data", "valid"}]}`, gzipped or not, such
as a sample of MaskBench. With `--vocabulary`, a tekken file, the grammars are loaded for its tokens
too, and masks are made along valid instances. Every schema has a process of its own with a bound on
processor time. Prints the results, writes them and draws them.

Instances are offered as they are and in the order of the schema's properties, compact and spaced: a
valid one counts as refused where all texts are, an invalid one as accepted where any is.
"""

import argparse
import gzip
import json
import multiprocessing
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benches" / "load")]

from grammar_engines import ENGINES, Engine, Refused, Vocabulary, timed_ms  # noqa: E402
from grammar_instances import texts  # noqa: E402
from run import RESULTS, described  # noqa: E402

SECONDS_MAX = 20
MASKED_MAX = 400


def cases(path: Path, every: int) -> Iterator[dict[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as lines:
        for number, line in enumerate(lines):
            if number % every == 0:
                yield json.loads(line)


def judged(case: dict[str, Any], engine: Engine, tokens: Vocabulary | None) -> dict[str, Any]:
    """What happened to one schema. Converting is the best of three, as a process that was just made
    pays for its memory; nothing else may run on its core."""
    schema = json.dumps(case["schema"], ensure_ascii=False)
    row: dict[str, Any] = {}
    try:
        tries = [timed_ms(lambda: engine.convert(schema)) for _ in range(3)]
    except Refused as refusal:
        return row | {"refused": str(refusal)}
    row["convert_ms"], made = min(spent for spent, _ in tries), tries[0][1]
    matcher = engine.matcher(made)
    row |= {"accepted_invalid": 0, "refused_valid": 0, "valid": 0, "invalid": 0}
    for test in case["tests"]:
        accepted = any(matcher.accepts(text) for text in texts(test["data"], case["schema"]))
        row["valid" if test["valid"] else "invalid"] += 1
        row["accepted_invalid"] += accepted and not test["valid"]
        row["refused_valid"] += test["valid"] and not accepted
    if tokens is not None:
        row["load_ms"], masks = timed_ms(lambda: engine.masks(made))
        valid = [test["data"] for test in case["tests"] if test["valid"]][:3]
        row["mask_us"] = [
            1e3 * each
            for data in valid
            for each in masks.times_ms(tokens.cut(next(texts(data, case["schema"])))[:MASKED_MAX])
        ]
    return row


def worker(case: dict[str, Any], engine: Engine, tokens: Vocabulary | None, answer: Any) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_MAX, SECONDS_MAX))
    answer.send(judged(case, engine, tokens))


def measured(
    path: Path, every: int, engine: Engine, tokens: Vocabulary | None
) -> list[dict[str, Any]]:
    fork = multiprocessing.get_context("fork")
    rows = []
    for case in cases(path, every):
        receiver, sender = fork.Pipe(duplex=False)
        process = fork.Process(target=worker, args=(case, engine, tokens, sender))
        process.start()
        sender.close()
        try:
            row = receiver.recv()
        except EOFError:
            process.join()
            is_late = process.exitcode in (-signal.SIGXCPU, -signal.SIGKILL)
            row = {"out_of_time" if is_late else "crashed": True}
        process.join()
        rows.append(row | {"id": case["id"]})
    return rows


def quantiles(values: list[float]) -> dict[str, float]:
    ranked = sorted(values)
    places = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    last = len(ranked) - 1
    return {
        name: round(ranked[min(last, int(part * len(ranked)))], 2) for name, part in places.items()
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    made = [row for row in rows if "valid" in row]
    right = [row for row in made if not row["accepted_invalid"] and not row["refused_valid"]]
    refused: dict[str, int] = {}
    for row in rows:
        if "refused" in row:
            refused[row["refused"]] = refused.get(row["refused"], 0) + 1
    total = {name: sum(row[name] for row in made) for name in ("valid", "invalid")}
    times = {
        "convert_ms": [row["convert_ms"] for row in made],
        "load_ms": [row["load_ms"] for row in made if "load_ms" in row],
        "mask_us": [each for row in made for each in row.get("mask_us", ())],
    }
    return {
        "schemas": len(rows),
        "compiled_percent": round(100 * len(made) / len(rows), 2),
        "perfect_percent": round(100 * len(right) / len(rows), 2),
        "accepted_invalid": [sum(row["accepted_invalid"] for row in made), total["invalid"]],
        "refused_valid": [sum(row["refused_valid"] for row in made), total["valid"]],
        "out_of_time": sum("out_of_time" in row for row in rows),
        "crashed": sum("crashed" in row for row in rows),
        **{name: quantiles(found) for name, found in times.items() if found},
        "refused": dict(sorted(refused.items(), key=lambda item: -item[1])[:20]),
    }


def figure_of(value: float) -> str:
    """Three digits of a figure, and no power of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw(engines: dict[str, Any], path: Path) -> None:
    """What is right in percent, and times on a scale of powers of ten."""
    import matplotlib as library

    library.use("Agg")
    from matplotlib import pyplot

    percents = {
        name: {
            "compiled": one["compiled_percent"],
            "perfect": one["perfect_percent"],
            "invalid\naccepted": 100 * one["accepted_invalid"][0] / one["accepted_invalid"][1],
            "valid\nrefused": 100 * one["refused_valid"][0] / one["refused_valid"][1],
        }
        for name, one in engines.items()
    }
    panels = [("% of schemas, % of instances", percents)]
    panels += [
        (title, {name: one[key] for name, one in engines.items() if key in one})
        for title, key in (
            ("schema to grammar, ms", "convert_ms"),
            ("loading for a vocabulary, ms", "load_ms"),
            ("a mask of tokens, µs", "mask_us"),
        )
    ]
    panels = [panel for panel in panels if panel[1]]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.5 * len(panels), 4))
    for axis, (title, bars) in zip(axes, panels, strict=True):
        for place, (name, values) in enumerate(bars.items()):
            spots = [spot + place * 0.27 for spot in range(len(values))]
            drawn = axis.bar(spots, list(values.values()), width=0.25, label=name)
            axis.bar_label(drawn, fmt=figure_of, fontsize=6)
        names = list(next(iter(bars.values()), {}))
        axis.set_xticks([spot + 0.27 for spot in range(len(names))], names, fontsize=7)
        axis.set_title(title, fontsize=9)
        if axis is not axes[0]:
            axis.set_yscale("log")
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    options.add_argument("data", type=Path)
    options.add_argument("--engines", nargs="+", choices=ENGINES, default=["tokenmill"])
    options.add_argument("--every", type=int, default=1, help="take every n-th schema")
    options.add_argument("--vocabulary", type=Path, help="a tekken file")
    options.add_argument("--draw", action="store_true", help="`data` is a results file: draw it")
    given = options.parse_args()
    if given.draw:
        draw(json.loads(given.data.read_text())["engines"], given.data.with_suffix(".png"))
        return
    tokens = Vocabulary.read(given.vocabulary) if given.vocabulary else None
    found = {}
    for name in given.engines:
        found[name] = summary(measured(given.data, given.every, ENGINES[name](tokens), tokens))
        print(name, json.dumps(found[name], indent=1, ensure_ascii=False))
    result = described() | {"every": given.every, "engines": found}
    path = RESULTS / f"{result['measured'][:10]}_{result['commit']}_grammar.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(f"written: {path}")
    try:
        draw(found, path.with_suffix(".png"))
    except ImportError:
        print("no picture: matplotlib is not installed")


if __name__ == "__main__":
    main()
