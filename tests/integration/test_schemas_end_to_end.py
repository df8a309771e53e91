"""Schemas out of the wild through the whole gateway on real engines, at temperature 1.

Each answer that finished by itself has to validate, streamed or not; each refusal has to name the
place. A model of two layers writes noise, so what holds here holds by the grammar alone.
TOKENMILL_SCHEMA_STEP=10 takes every tenth schema of the sample instead of every hundredth.
"""

import asyncio
import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.support.embedded_engine import demo_model, running_engine
from tests.support.gateway import BEARER, CHAT, Gateway, route, running_gateway
from tokenmill.models.fleet import Engine, Fleet
from tokenmill.settings import GrammarSettings

SAMPLE = Path(__file__).parents[2].parent / "shared/data/maskbench-dev.jsonl.gz"
STEP = int(os.environ.get("TOKENMILL_SCHEMA_STEP", "100"))
TOKENS_MAX = 400
AT_ONCE = 8

pytestmark = [
    pytest.mark.shared,
    pytest.mark.timeout(1_800),
    pytest.mark.skipif(not SAMPLE.is_file(), reason="the sample does not lie beside the checkout"),
]


def schemas() -> list[tuple[str, Any]]:
    with gzip.open(SAMPLE, "rt") as lines:
        read = [json.loads(line) for line in lines]
    return [(each["id"], each["schema"]) for each in read[::STEP]]


def request(schema: Any, *, is_stream: bool) -> dict[str, Any]:
    named = {"name": "answer", "strict": True, "schema": schema}
    return {
        "model": "tiny-chat",
        "messages": [{"role": "user", "content": "Describe Ada as JSON."}],
        "temperature": 1,
        "max_tokens": TOKENS_MAX,
        "stream": is_stream,
        "response_format": {"type": "json_schema", "json_schema": named},
    }


async def ask(gateway: Gateway, schema: Any, *, is_stream: bool) -> tuple[str, str]:
    """How an answer ended, and its text; of a refusal its message."""
    answer = await gateway.client.post(
        CHAT, json=request(schema, is_stream=is_stream), headers=BEARER, timeout=300
    )
    if answer.status_code != 200:
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "unsupported_schema"), answer.text
        assert error["param"].startswith("response_format"), error
        return "refused", error["message"]
    assert answer.headers["x-tokenmill-schema"] == "enforced"
    assert "grammar;dur=" in answer.headers["server-timing"]
    if not is_stream:
        choice = answer.json()["choices"][0]
        return choice["finish_reason"], choice["message"]["content"]
    events = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
    last = events.pop()
    if last != "[DONE]":  # the embedded engine's parser is bounded: it gives up, and says so
        error = json.loads(last)["error"]
        assert error["code"] == "unsupported_schema", error
        return "refused", error["message"]
    choices = [json.loads(event)["choices"][0] for event in events]
    text = "".join(each["delta"].get("content") or "" for each in choices)
    return choices[-1]["finish_reason"], text


async def check_all(folder: Path, engine: Engine, model: str) -> Counter[str]:
    """Asks for every schema, whole and streamed; how the answers ended."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    gate = asyncio.Semaphore(AT_ONCE)

    async def check(gateway: Gateway, name: str, schema: Any, is_stream: bool) -> None:
        async with gate:
            end, text = await ask(gateway, schema, is_stream=is_stream)
        counts[end] += 1
        if end == "stop" and not jsonschema_rs.validator_for(schema).is_valid(json.loads(text)):
            wrong.append(f"{name}: {text}")

    settings = GrammarSettings(new_schemas_per_minute_max=100_000)
    async with running_gateway(folder, engine.url, grammar=settings) as gateway:
        routes = (route("tiny-chat", engine_model=model),)
        gateway.publish(Fleet(engines=(engine,), pools=((0,),), routes=routes))
        checks = [
            check(gateway, name, schema, is_stream)
            for name, schema in schemas()
            for is_stream in (False, True)
        ]
        await asyncio.gather(*checks)
    print(f"{engine.kind}: {len(checks)} requests: {dict(counts)}")
    assert wrong == []
    return counts


@pytest.mark.vllm
async def test_every_finished_answer_of_a_real_vllm_validates(
    tmp_path: Path, chat_vllm: str
) -> None:
    engine = Engine(slot=0, name="e", url=chat_vllm, kind="vllm", state="serving")
    counts = await check_all(tmp_path, engine, "tiny-chat")
    assert counts["stop"] > counts.total() / 4
    assert counts["refused"] < counts.total() / 10


async def test_every_finished_answer_of_the_embedded_engine_validates(tmp_path: Path) -> None:
    with running_engine(model=demo_model()) as running:
        model = running.call("/v1/models")[1]["data"][0]["id"]
        engine = Engine(slot=0, name="e", url=running.url, kind="embedded", state="serving")
        counts = await check_all(tmp_path, engine, model)
    assert counts["stop"] > counts.total() / 4
    assert counts["refused"] < counts.total() / 5
