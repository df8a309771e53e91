"""Grammars, regexes and choices as clients write them, through the gateway to real engines.

At temperature 1 a tiny model writes noise: what an answer looks like is the constraint's doing.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.embedded_engine import demo_model, running_engine
from tests.support.gateway import BEARER, CHAT, Gateway, route, running_gateway
from tokenmill.models.fleet import Engine, Fleet

pytestmark = pytest.mark.timeout(300)
TIMES = 3


class Case(NamedTuple):
    """A constraint, and whether a text keeps to it, judged by something else than a grammar."""

    name: str
    constraint: dict[str, Any]
    judge: Callable[[str], bool]


def is_like(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(pattern, text) is not None


def is_balanced(text: str) -> bool:
    """Round and square brackets that close each other, at least one pair."""
    before = None
    while text != before:
        before, text = text, text.replace("()", "").replace("[]", "")
    return before == ""


def is_sum(text: str) -> bool:
    """Whole numbers, `+`, `*` and brackets, as Python reads them."""
    if not re.fullmatch(r"[0-9+*() ]+", text):
        return False
    compile(re.sub(r"\b0+(?=\d)", "", text), "a sum", "eval")
    return True


def grammar(*lines: str) -> dict[str, Any]:
    return {"grammar": "\n".join(lines)}


QUOTED = ['say "hi"', "a\\b", "zwei Wörter", "日本", "line\nbreak"]
CASES = [
    Case(
        "a date",
        grammar('root ::= year "-" [01] [0-9] "-" [0-3] [0-9]', "year ::= [12] [0-9]{3}"),
        is_like(r"[12]\d{3}-[01]\d-[0-3]\d"),
    ),
    Case(
        "brackets",
        grammar('root ::= "(" inner+ ")"', 'inner ::= "[" last* "]"', 'last ::= "(" ")"'),
        is_balanced,
    ),
    Case(
        "a sum, by left recursion",
        grammar(
            'root ::= root " + " term | term',
            'term ::= term "*" factor | factor',
            'factor ::= [0-9]{1,3} | "(" root ")"',
        ),
        is_sum,
    ),
    Case(
        "lines with a comment in the grammar",
        grammar(
            "# what follows is a list", 'root ::= (item "\\n"){2,4}', 'item ::= "- " [a-z]{1,9}'
        ),
        is_like(r"(- [a-z]{1,9}\n){2,4}"),
    ),
    Case(
        "escapes and what is not in a class",
        grammar('root ::= "\\"" [^"\\\\\\x00-\\x1f]{1,8} "\\"" "\\u00e9"?'),
        is_like(r'"[^"\\\x00-\x1f]{1,8}"é?'),
    ),
    Case("a telephone number", {"regex": r"\+\d{2} \d{3}-\d{4}"}, is_like(r"\+\d{2} \d{3}-\d{4}")),
    Case(
        "letters of other alphabets",
        {"regex": "[à-ö]{2,5}|[а-я]{3}"},
        is_like("[à-ö]{2,5}|[а-я]{3}"),
    ),
    Case(
        "alternatives and options",
        {"regex": r"(yes|no|per(haps)?)(, (sir|madam))?[.!]{1,2}"},
        is_like(r"(yes|no|per(haps)?)(, (sir|madam))?[.!]{1,2}"),
    ),
    Case("one of two words", {"choice": ["left", "right"]}, lambda text: text in ("left", "right")),
    Case("choices with marks in them", {"choice": QUOTED}, lambda text: text in QUOTED),
]


@pytest.fixture(params=["embedded", pytest.param("vllm", id="real_vllm", marks=pytest.mark.vllm)])
async def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway before one engine."""
    if request.param == "vllm":
        url = request.getfixturevalue("chat_vllm")
        engine = Engine(slot=0, name="e", url=url, kind="vllm", state="serving")
        async with before(tmp_path, engine, "tiny-chat") as running:
            yield running
        return
    with running_engine(model=demo_model()) as embedded:
        model = embedded.call("/v1/models")[1]["data"][0]["id"]
        engine = Engine(slot=0, name="e", url=embedded.url, kind="embedded", state="serving")
        async with before(tmp_path, engine, model) as running:
            yield running


@asynccontextmanager
async def before(folder: Path, engine: Engine, model: str) -> AsyncIterator[Gateway]:
    async with running_gateway(folder, engine.url) as running:
        routes = (route("m", engine_model=model),)
        running.publish(Fleet(engines=(engine,), pools=((0,),), routes=routes))
        yield running


async def ask(gateway: Gateway, case: Case, *, is_stream: bool) -> tuple[str, str]:
    """How an answer ended, and its text."""
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "Say something."}],
        "temperature": 1,
        "max_tokens": 200,
        "stream": is_stream,
        "structured_outputs": case.constraint,
    }
    answer = await gateway.client.post(CHAT, json=body, headers=BEARER, timeout=120)
    assert answer.status_code == 200, f"{case.name}: {answer.text}"
    if not is_stream:
        choice = answer.json()["choices"][0]
        return choice["finish_reason"], choice["message"]["content"]
    events = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
    assert events.pop() == "[DONE]", f"{case.name}: {events}"
    choices = [json.loads(event)["choices"][0] for event in events]
    text = "".join(each["delta"].get("content") or "" for each in choices)
    return choices[-1]["finish_reason"], text


async def test_answers_keep_to_what_clients_wrote(gateway: Gateway) -> None:
    for case in CASES:
        asking = [ask(gateway, case, is_stream=number % 2 == 0) for number in range(2 * TIMES)]
        answers = await asyncio.gather(*asking)
        finished = [text for end, text in answers if end == "stop"]
        assert finished, f"{case.name}: none of {answers} ended by itself"
        assert [text for text in finished if not case.judge(text)] == [], case.name
