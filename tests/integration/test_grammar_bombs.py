"""Schemas that are made to stall: each is answered or refused by name, and the gateway goes on.

How long each takes is printed; `benches` say it for a release build.
"""

import time
from pathlib import Path

import pytest

from tests.support.gateway import BEARER, CHAT, running_gateway
from tests.support.grammar_bombs import body_of, bombs
from tests.support.scripted_upstream import ScriptedUpstream, whole
from tokenmill.settings import GrammarSettings

JSON = {"content-type": "application/json"}
ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "engine-m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "{}"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


@pytest.mark.timeout(300)
async def test_every_bomb_is_answered_or_refused_by_name(tmp_path: Path) -> None:
    all_bombs = bombs()
    assert len(all_bombs) >= 60
    settings = GrammarSettings(new_schemas_per_minute_max=10_000)
    lines = []
    async with (
        ScriptedUpstream() as upstream,
        running_gateway(tmp_path, upstream.url, grammar=settings) as gateway,
    ):
        upstream.always(*whole(ANSWER))
        for bomb in all_bombs:
            began = time.perf_counter()
            answer = await gateway.client.post(
                CHAT, content=body_of(bomb), headers=BEARER | JSON, timeout=60
            )
            took_ms = (time.perf_counter() - began) * 1000
            lines.append(f"{took_ms:8.1f} ms {answer.status_code} {bomb[0]}")
            if answer.status_code == 200:
                continue
            error = answer.json()["error"]
            assert answer.status_code == 400, answer.text
            assert error["param"].startswith(("response_format", "structured_outputs")), error
            lines[-1] += f": {error['message'][-90:]}"
        good = await gateway.chat()
        assert good.status_code == 200
    print("\n".join(sorted(lines, reverse=True)))
