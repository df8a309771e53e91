"""A house of two workers before three engines: each gets a new schema once, billed to nobody."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.support.house import House, run_house
from tests.support.paced_engine import PacedEngine, paced_engine
from tests.support.waiting import eventually

ENGINES = 3
ASKED = 12
WARM_UP = "/v1/completions"


def constraints(engine: PacedEngine, path: str) -> list[str]:
    """The grammars that it was asked with by this path."""
    bodies = [body for asked, body in list(engine.asked) if asked == path]
    return [
        body["structured_outputs"]["grammar"] for body in bodies if "structured_outputs" in body
    ]


def ask(house: House, number: int) -> httpx.Response:
    """One request on a connection of its own: any worker may get it."""
    named = {"name": "it", "strict": True, "schema": {"type": "object", "required": [f"n{number}"]}}
    fields: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Hi"}],
        "response_format": {"type": "json_schema", "json_schema": named},
        "max_tokens": 2,
    }
    with house.client() as client:
        answer = client.post("/v1/chat/completions", json=fields)
    assert answer.status_code == 200, answer.text
    return answer


def available(house: House) -> int:
    with house.client() as client:
        return int(client.get("/v1/key").json()["wallet"]["available_nanos"])


def are_there(house: House) -> bool:
    standings = house.standings().values()
    return len(standings) == ENGINES and set(standings) <= {"serving", "warming"}


def test_each_engine_gets_a_new_schema_once_and_it_is_billed_once(tmp_path: Path) -> None:
    with ExitStack() as running:
        engines = [running.enter_context(paced_engine(0.005)) for _ in range(ENGINES)]
        flags = [flag for engine in engines for flag in ("--engine", engine.url)]
        environment = {"TOKENMILL_WORKERS": "2"}
        house = running.enter_context(
            run_house(tmp_path, *flags, command="serve", environment=environment)
        )
        eventually(lambda: are_there(house), "all engines are there", within_s=60)
        before, cost = available(house), 0
        for number in range(2):
            for _ in range(ASKED):
                cost += int(ask(house, number).headers["x-tokenmill-cost-nanos"])
        # All but the engine that the first request of a schema went to got it beside requests.
        wanted = 2 * (ENGINES - 1)
        eventually(
            lambda: sum(len(constraints(each, WARM_UP)) for each in engines) >= wanted,
            "the engines are asked",
            within_s=60,
        )
        for _ in range(ASKED):
            cost += int(ask(house, 1).headers["x-tokenmill-cost-nanos"])
        given = [constraints(each, WARM_UP) for each in engines]
        assert sum(map(len, given)) == wanted, json.dumps(given)
        assert all(len(set(each)) == len(each) for each in given)
        assert all(body["max_tokens"] == 1 for body in warm_bodies(engines))
        eventually(lambda: available(house) == before - cost, "only requests were billed")


def warm_bodies(engines: list[PacedEngine]) -> list[dict[str, Any]]:
    return [body for each in engines for path, body in each.asked if path == WARM_UP]
