"""The vectors of cases/sse.toml over a socket: what Rust's own test reads, seen from Python."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.relays import collect, house, tokens
from tests.support.scripted_upstream import LAST_CHUNK, ScriptedUpstream, chunk, head
from tokenmill._native import EndReason, UsageShape

CASES = Path(__file__).resolve().parents[1] / "conformance" / "cases" / "sse.toml"
REASONS = {
    "complete": EndReason.COMPLETE,
    "closed": EndReason.CLOSED,
    "eof": EndReason.CLOSED,
    "aborted": EndReason.ABORTED,
    "error_event": EndReason.ERROR_EVENT,
    "malformed": EndReason.MALFORMED,
    "too_large": EndReason.TOO_LARGE,
}
SHAPES = {
    "none": UsageShape.NONE,
    "final": UsageShape.FINAL,
    "continuous": UsageShape.CONTINUOUS,
}


def cases() -> list[Any]:
    table = tomllib.loads(CASES.read_text())
    return [pytest.param(case, id=case["name"]) for case in table["case"]]


@pytest.mark.parametrize("case", cases())
async def test_a_stream_becomes_what_the_table_says(tmp_path: Path, case: dict[str, Any]) -> None:
    bound = case.get("event_bytes_max", 1_000_000)
    async with ScriptedUpstream() as upstream, house(tmp_path, event_bytes_max=bound) as here:
        here.use(upstream.url)
        sent = bytes.fromhex(case["input_hex"]) if "input_hex" in case else case["input"].encode()
        upstream.always(head(), chunk(sent), LAST_CHUNK)
        relay = here.start(usage=SHAPES[case["usage"]], model=case.get("model"))
        got = await collect(relay)
        assert got.body.decode() == case["output"]
        assert got.reason == REASONS[case["end"]]
        assert got.end is not None
        assert got.end.detail == case.get("detail", got.end.detail)
        wanted = tuple(case.get(name, 0) for name in ("prompt", "completion", "cached"))
        assert tokens(relay.usage()) == wanted
