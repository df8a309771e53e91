"""The grammar compiler on labelled schemas: coverage, soundness, and what an engine pays to load.

Takes a file of JSON lines, `{"id", "schema", "tests": [{"data", "valid"}]}`, gzipped or not, such
as a sample of MaskBench; with `--vocabulary`, a tekken file, xgrammar loads for its tokens. Every
schema has a process of its own with a bound on processor time. Prints the results and writes them.

Verdicts are xgrammar's on the compiler's text. Instances are offered as they are and in the order
of the schema's properties, compact and spaced: a valid one counts as refused where all texts are,
an invalid one as accepted where any is.
"""

import argparse
import base64
import gzip
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

SECONDS_MAX = 20


def cases(path: Path, every: int) -> Iterator[dict[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as lines:
        for number, line in enumerate(lines):
            if number % every == 0:
                yield json.loads(line)


def ordered(value: Any, schema: Any) -> Any:
    """The value with its names in the schema's order, as far as plain `properties` tell it."""
    if isinstance(value, dict):
        declared = schema.get("properties") if isinstance(schema, dict) else None
        known = declared if isinstance(declared, dict) else {}
        names = [name for name in known if name in value]
        names += [name for name in value if name not in known]
        return {name: ordered(value[name], known.get(name)) for name in names}
    if isinstance(value, list):
        items = schema.get("items") if isinstance(schema, dict) else None
        return [ordered(item, items) for item in value]
    return value


def texts(value: Any, schema: Any) -> Iterator[bytes]:
    for each in (value, ordered(value, schema)):
        for separators in ((",", ":"), (", ", ": ")):
            yield json.dumps(each, ensure_ascii=False, separators=separators).encode(
                errors="surrogatepass"
            )


def vocabulary(path: Path) -> list[bytes]:
    read = json.loads(path.read_bytes())
    special = read["config"]["default_num_special_tokens"]
    count = read["config"]["default_vocab_size"] - special
    tokens = [f"<special {number}>".encode() for number in range(special)]
    return tokens + [base64.b64decode(token["token_bytes"]) for token in read["vocab"][:count]]


def judged(case: dict[str, Any], engine: Any) -> dict[str, Any]:
    """What happened to one schema; times are milliseconds of processor time."""
    from tests.support.grammar_matcher import GrammarMatcher
    from tokenmill import grammar

    schema = json.dumps(case["schema"]).encode()
    started = time.process_time()
    made = grammar.compile(schema)
    row: dict[str, Any] = {"compile_ms": 1e3 * (time.process_time() - started)}
    if isinstance(made, grammar.SchemaRefusal):
        return row | {"refused": made.keyword or made.reason}
    matcher = GrammarMatcher(made.text)
    row |= {"accepted_invalid": 0, "refused_valid": 0, "valid": 0, "invalid": 0}
    for test in case["tests"]:
        accepted = any(matcher.accepts(text) for text in texts(test["data"], case["schema"]))
        row["valid" if test["valid"] else "invalid"] += 1
        row["accepted_invalid"] += accepted and not test["valid"]
        row["refused_valid"] += test["valid"] and not accepted
    if engine is not None:
        xgrammar, compiler = engine
        started = time.process_time()
        compiler.compile_grammar(xgrammar.Grammar.from_ebnf(made.text))
        row["load_ms"] = 1e3 * (time.process_time() - started)
    return row


def worker(case: dict[str, Any], engine: Any, answer: Any) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_MAX, SECONDS_MAX))
    answer.send(judged(case, engine))


def measured(path: Path, every: int, tokens: Path | None) -> list[dict[str, Any]]:
    from tests.support import grammar_matcher

    xgrammar, _ = grammar_matcher._xgrammar()
    engine = None
    if tokens:
        known = xgrammar.TokenizerInfo(
            vocabulary(tokens), vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[2]
        )
        engine = (xgrammar, xgrammar.GrammarCompiler(known, max_threads=1, cache_enabled=False))
    fork = multiprocessing.get_context("fork")
    rows = []
    for case in cases(path, every):
        receiver, sender = fork.Pipe(duplex=False)
        process = fork.Process(target=worker, args=(case, engine, sender))
        process.start()
        sender.close()
        try:
            row = receiver.recv()
        except EOFError:
            row = {"out_of_time": True}
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
    return {
        "schemas": len(rows),
        "compiled_percent": round(100 * len(made) / len(rows), 2),
        "perfect_percent": round(100 * len(right) / len(rows), 2),
        "accepted_invalid": [sum(row["accepted_invalid"] for row in made), total["invalid"]],
        "refused_valid": [sum(row["refused_valid"] for row in made), total["valid"]],
        "out_of_time": sum("out_of_time" in row for row in rows),
        "compile_ms": quantiles([row["compile_ms"] for row in rows if "compile_ms" in row]),
        "load_ms": quantiles([row["load_ms"] for row in made if "load_ms" in row] or [0.0]),
        "refused": dict(sorted(refused.items(), key=lambda item: -item[1])),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("--every", type=int, default=1)
    options.add_argument("--vocabulary", type=Path)
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    found = summary(measured(given.data, given.every, given.vocabulary))
    text = json.dumps(found, indent=1, ensure_ascii=False)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
