"""Which schemas have no grammar of ours, by the keyword that is to blame and the reason.

    python benches/python/grammar_refusals.py SCHEMAS.jsonl [SUITE.jsonl …]

Takes files of JSON lines with a `schema`, gzipped or not, such as a sample of MaskBench and the
JSON-Schema-Test-Suite. What is counted does not hang on the machine: bounds are counts of work.
"""

import argparse
import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benches" / "load")]

from run import RESULTS, described  # noqa: E402

from tokenmill import grammar  # noqa: E402


def counted(path: Path) -> dict[str, Any]:
    """Schemas of a file, and those refused, by kind and keyword: how many, and a reason."""
    opener = gzip.open if path.suffix == ".gz" else open
    refused: Counter[str] = Counter()
    reasons: dict[str, str] = {}
    total = 0
    with opener(path, "rt") as lines:
        for line in lines:
            total += 1
            schema = json.dumps(json.loads(line)["schema"], ensure_ascii=False)
            made = grammar.compile(schema.encode(errors="surrogatepass"))
            if isinstance(made, grammar.SchemaRefusal):
                name = f"{made.kind}: {made.keyword or made.reason}"
                refused[name] += 1
                reasons.setdefault(name, made.reason)
    count = refused.total()
    return {
        "schemas": total,
        "refused": count,
        "refused_percent": round(100 * count / total, 2),
        "by_keyword": {
            name: {"schemas": number, "for_instance": reasons[name]}
            for name, number in refused.most_common()
        },
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    options.add_argument("files", type=Path, nargs="+")
    given = options.parse_args()
    found = {path.name.partition(".")[0]: counted(path) for path in given.files}
    result = described() | {"files": found}
    print(json.dumps(result, indent=1, ensure_ascii=False))
    path = RESULTS / f"{result['measured'][:10]}_{result['commit']}_grammar_refusals.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(f"written: {path}")


if __name__ == "__main__":
    main()
