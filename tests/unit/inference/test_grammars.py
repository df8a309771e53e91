"""The worker's grammars: kept, made once, bounded by account and in number."""

import asyncio
import os
import sys
import threading

import pytest

from tokenmill.errors import InvalidRequest, RateLimited, ServiceUnavailable
from tokenmill.grammar.rules import NewSchemaRate
from tokenmill.inference.grammars import Grammars, NoGrammar, Shape, canonical
from tokenmill.protocol.schemas import SentSchema
from tokenmill.settings import BodyBounds, GrammarSettings

ACCOUNT = 7
BOUNDS = BodyBounds()
OPEN = Shape(closed=False)
CLOSED = Shape(closed=True)
SECOND_NS = 1_000_000_000


def schema(number: int) -> bytes:
    return b'{"const":%d}' % number


def test_a_schema_is_compiled_once_and_kept() -> None:
    async def scenario() -> None:
        grammars = Grammars(GrammarSettings(new_schemas_per_minute_max=1), BOUNDS)
        first, same = await asyncio.gather(
            grammars.find(schema(1), ACCOUNT, OPEN),
            grammars.find(schema(1), ACCOUNT, OPEN),
        )
        assert isinstance(first, str)
        assert first == same == await grammars.find(schema(1), ACCOUNT, OPEN)
        assert first.startswith("root ::= ")
        grammars.close()

    asyncio.run(scenario())


def test_a_refusal_says_where_which_word_and_what_would_mend_it() -> None:
    async def scenario() -> None:
        grammars = Grammars(GrammarSettings(), BOUNDS)
        asked = rb'{"properties":{"a":{"type":"string","pattern":"(x)\\1"}}}'
        made = await grammars.find(asked, ACCOUNT, OPEN)
        assert isinstance(made, NoGrammar)
        assert made.pointer == "/properties/a"
        assert str(made).startswith("at '#/properties/a', keyword `pattern`: ")
        grammars.close()

    asyncio.run(scenario())


def test_closed_and_open_objects_are_two_grammars() -> None:
    async def scenario() -> None:
        grammars = Grammars(GrammarSettings(), BOUNDS)
        asked = b'{"type":"object","properties":{"a":{}}}'
        opened = await grammars.find(asked, ACCOUNT, OPEN)
        assert opened != await grammars.find(asked, ACCOUNT, CLOSED)
        grammars.close()

    asyncio.run(scenario())


def test_new_schemas_of_an_account_are_limited_and_known_ones_are_not() -> None:
    async def scenario() -> None:
        grammars = Grammars(GrammarSettings(new_schemas_per_minute_max=2), BOUNDS)
        for number in range(2):
            await grammars.find(schema(number), ACCOUNT, OPEN)
        with pytest.raises(RateLimited) as refused:
            await grammars.find(schema(2), ACCOUNT, OPEN)
        assert 0 < (refused.value.retry_after_ms or 0) <= 30_000
        await grammars.find(schema(1), ACCOUNT, OPEN)
        await grammars.find(schema(2), ACCOUNT + 1, OPEN)
        grammars.close()

    asyncio.run(scenario())


def test_what_waits_to_be_compiled_is_bounded() -> None:
    async def scenario() -> None:
        grammars = Grammars(GrammarSettings(waiting_max=1), BOUNDS)
        first = asyncio.create_task(grammars.find(schema(1), ACCOUNT, OPEN))
        await asyncio.sleep(0)
        with pytest.raises(ServiceUnavailable):
            await grammars.find(schema(2), ACCOUNT, OPEN)
        await first
        grammars.close()

    asyncio.run(scenario())


def test_the_oldest_grammars_make_room() -> None:
    async def scenario() -> None:
        grammars = Grammars(
            GrammarSettings(cache_bytes_max=1_000, new_schemas_per_minute_max=9), BOUNDS
        )
        for number in range(5):
            await grammars.find(schema(number), ACCOUNT, OPEN)
        assert grammars.kept_bytes <= 1_000
        grammars.close()

    asyncio.run(scenario())


def test_a_schema_with_other_blanks_is_known() -> None:
    async def scenario() -> None:
        grammars = Grammars(GrammarSettings(new_schemas_per_minute_max=1), BOUNDS)
        made = await grammars.find(b'{"type":"object","required":["a b"]}', ACCOUNT, OPEN)
        spread = canonical(b'{ "type": "object",\n\t"required": [ "a b" ] }')
        assert grammars.is_known(spread, OPEN)
        assert await grammars.find(spread, ACCOUNT, OPEN) is made
        assert not grammars.is_known(b'{"required":["a b"],"type":"object"}', OPEN)
        grammars.close()

    asyncio.run(scenario())


def test_a_grammar_that_is_too_large_is_none() -> None:
    async def scenario() -> None:
        grammars = Grammars(GrammarSettings(text_bytes_max=10), BOUNDS)
        made = await grammars.find(schema(1), ACCOUNT, OPEN)
        assert isinstance(made, NoGrammar)
        assert "text_bytes_max = 10" in str(made)
        grammars.close()

    asyncio.run(scenario())


def test_a_minute_of_schemas_may_come_at_once_and_then_they_come_evenly() -> None:
    rate = NewSchemaRate(4)
    assert [rate.take(ACCOUNT, 0) for _ in range(4)] == [0, 0, 0, 0]
    wait_ns = rate.take(ACCOUNT, 0)
    assert wait_ns == 15 * SECOND_NS
    assert rate.take(ACCOUNT, wait_ns - 1) == 1
    assert rate.take(ACCOUNT, wait_ns) == 0
    assert rate.take(ACCOUNT + 1, 0) == 0


def test_an_engine_that_reads_each_way_gets_a_grammar_with_one() -> None:
    """A free string is a loop over its characters there, and not split before a name's end."""

    async def scenario() -> None:
        grammars = Grammars(GrammarSettings(), BOUNDS)
        asked = b'{"properties":{"setup":{"type":"string"},"end":{"type":"string"}}}'
        one_way = Shape(closed=False, deterministic=True)
        made = await grammars.find(asked, ACCOUNT, one_way)
        shared = await grammars.find(asked, ACCOUNT, OPEN)
        assert isinstance(made, str)
        assert made != shared
        strings = [line for line in made.splitlines() if line.count("\\U0010ffff]") == 1]
        assert any(
            line.split(" ::= ")[0] == line.split("\\U0010ffff] ")[1].split()[0] for line in strings
        )
        grammars.close()

    asyncio.run(scenario())


def sent(data: bytes) -> list[SentSchema]:
    return [SentSchema("here", data)]


@pytest.mark.parametrize("padding", [0, 50_000], ids=["at once", "by a thread"])
def test_schemas_out_of_bounds_are_refused_where_they_stand(padding: int) -> None:
    async def scenario() -> None:
        grammars = Grammars(GrammarSettings(), BOUNDS)
        good = b'{"title":"' + b"x" * padding + b'"}'
        await grammars.check(sent(good))
        for bad in (good + b"}", good[:-1] + b',"maximum":1e999}', good[:-1] + b',"enum":[1,1]'):
            with pytest.raises(InvalidRequest) as refused:
                await grammars.check([*sent(good), SentSchema("there", bad)])
            assert refused.value.param == "there"
        grammars.close()

    asyncio.run(scenario())


def test_a_schema_within_bounds_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[bytes] = []
    spy = lambda fresh, _: looked_at.extend(each.data for each in fresh)  # noqa: E731
    monkeypatch.setattr("tokenmill.inference.grammars.check_schemas", spy)

    async def scenario() -> None:
        grammars = Grammars(GrammarSettings(), BOUNDS)
        for data in (b"{}", b"{}", b'{"a":1}', b"{}"):
            await grammars.check(sent(data))
        grammars.close()

    asyncio.run(scenario())
    assert looked_at == [b"{}", b'{"a":1}']


def test_threads_that_compile_yield_the_processor() -> None:
    async def scenario() -> int:
        grammars = Grammars(GrammarSettings(), BOUNDS)
        niceness = await grammars._away(
            lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        )
        grammars.close()
        return niceness

    if sys.platform == "linux":
        assert asyncio.run(scenario()) > os.getpriority(os.PRIO_PROCESS, 0)
