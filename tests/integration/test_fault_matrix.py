"""Each fault of an engine, streamed or not, before the first byte or after it: the README's table.

The table is the expectation: a cell says what a client sees, the last column how many completion
tokens were counted in each of the four places.
"""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.engine_faults import FAULTS, PLACES
from tests.support.gateway import BEARER, CHAT, HI, Gateway, running_gateway
from tests.support.relays import until
from tests.support.scripted_upstream import (
    ScriptedUpstream,
    Step,
    good_stream,
    refused_url,
    unanswered_url,
    whole,
)
from tokenmill._native import COUNTERS
from tokenmill.settings import ForwardSettings

README = Path(__file__).parents[2] / "README.md"
SILENCE = "silence"
IMPATIENT = ForwardSettings(connect_ms=300, first_byte_ms=1_000, stall_ms=1_000, comment_ms=600)
"""Where an engine says nothing. Elsewhere nobody is to be taken for silent who is slow."""
NEVER = "–"


def table() -> dict[str, list[str]]:
    """The rows of the README's table of faults: name -> the other cells."""
    text = README.read_text().partition("<!-- table: faults -->")[2]
    rows = {}
    for line in text.strip().split("\n\n", 1)[0].splitlines()[2:]:
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name] = cells
    return rows


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        yield server


@pytest.fixture
async def gateway(
    request: pytest.FixtureRequest, tmp_path: Path, upstream: ScriptedUpstream
) -> AsyncIterator[Gateway]:
    is_silent = request.node.callspec.params.get("name") == SILENCE
    forward = IMPATIENT if is_silent else ForwardSettings()
    async with running_gateway(tmp_path, upstream.url, forward=forward) as running:
        yield running


async def outcome(gateway: Gateway, *, is_stream: bool) -> str:
    """What a client sees of one request, in the words of the table."""
    body = {"messages": HI, "stream": is_stream}
    answer = await gateway.client.post(CHAT, json=body, headers=BEARER)
    if answer.status_code != 200:
        error = answer.json()["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        final = answer.headers.get("x-should-retry") == "false"
        return f"{answer.status_code} `{error['code']}`" + (", no retry" if final else "")
    if not is_stream:
        assert answer.json()["choices"]
        return "whole"
    frames = [frame for frame in answer.text.split("\n\n") if frame and frame[0] != ":"]
    if frames[-1] == "data: [DONE]":
        assert '"error"' not in answer.text
        return "whole"
    error = json.loads(frames[-1].removeprefix("data: "))["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert "[DONE]" not in answer.text
    assert answer.text[0] == ":" or len(frames) > 1, "an error before the first byte is a status"
    return f"event `{error['code']}`"


def made_tokens(gateway: Gateway) -> int:
    return gateway.segment.totals()[COUNTERS.index('tokenmill_tokens_total{kind="completion"}')]


def cases() -> Iterator[object]:
    for fault in FAULTS:
        for column, (place, (is_stream, script)) in enumerate(PLACES.items()):
            steps = script(fault)
            if steps is not None:
                yield pytest.param(fault.name, column, is_stream, steps, id=f"{fault.name}-{place}")


@pytest.mark.parametrize(("name", "column", "is_stream", "steps"), list(cases()))
async def test_a_fault_is_told_as_the_table_says(
    gateway: Gateway,
    upstream: ScriptedUpstream,
    name: str,
    column: int,
    *,
    is_stream: bool,
    steps: Sequence[Step],
) -> None:
    row = table()[name]
    upstream.play(*steps)
    assert await outcome(gateway, is_stream=is_stream) == row[column]
    assert len(upstream.requests) == 1, "it was sent again"
    assert str(made_tokens(gateway)) == row[4].split(", ")[column]
    # The next one is served, and nothing is left of the first.
    upstream.always(*(good_stream("a", "b") if is_stream else whole({"choices": [{}]})))
    assert await outcome(gateway, is_stream=is_stream) == "whole"
    await until(lambda: gateway.segment.worker_in_flight(1) == 0)


@pytest.mark.parametrize("is_stream", [True, False])
async def test_an_engine_that_is_not_there(tmp_path: Path, *, is_stream: bool) -> None:
    rows = table()
    with refused_url() as refused:
        async with running_gateway(tmp_path, refused) as gateway:
            seen = await outcome(gateway, is_stream=is_stream)
            assert seen == rows["connection refused"][0 if is_stream else 2]
            assert made_tokens(gateway) == 0
    async with (
        unanswered_url() as silent,
        running_gateway(tmp_path, silent, forward=IMPATIENT) as gateway,
    ):
        seen = await outcome(gateway, is_stream=is_stream)
        assert seen == rows["connection not taken"][0 if is_stream else 2]


@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_connection_closed_between_requests_is_nobodys_loss(
    gateway: Gateway, upstream: ScriptedUpstream, *, is_stream: bool
) -> None:
    row = table()["connection closed between requests"]
    upstream.always(*(good_stream("a", "b") if is_stream else whole({"choices": [{}]})))
    for count in range(1, 4):
        assert await outcome(gateway, is_stream=is_stream) == row[0 if is_stream else 2]
        assert len(upstream.requests) == count
        upstream.close_idle()


def test_the_table_has_a_row_for_each_fault_and_no_other() -> None:
    rows = table()
    assert SILENCE in rows
    others = {"connection refused", "connection not taken", "connection closed between requests"}
    assert rows.keys() == {fault.name for fault in FAULTS} | others
    for fault in FAULTS:
        cells = rows[fault.name]
        for cell, (_, script) in zip(cells, PLACES.values(), strict=False):
            assert (cell == NEVER) == (script(fault) is None), fault.name
