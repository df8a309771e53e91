"""New grammars on the other engines of a pool: once each, one engine first, within bounds."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tokenmill.control.grammar_warmer import (
    ACCOUNT_SHARE,
    AT_ONCE_MAX,
    LINE_MAX,
    OPEN_MAX,
    REST_TIMES,
    GrammarWarmer,
    Outcome,
    Pool,
)
from tokenmill.grammar.views import Constraint, WarmUpWish
from tokenmill.settings import GrammarSettings

ACCOUNT = 7
NOBODY = -1


class ScriptedEngines:
    """Engines of one pool that do as they are told, and the clock."""

    def __init__(self, count: int) -> None:
        self.slots = tuple(range(count))
        self.busy: set[int] = set()
        self.tenants: dict[int, str] = {}
        self.outcomes: dict[int, Outcome] = {}
        self.sent: list[tuple[int, str]] = []  # slot and text
        self.takes_ms = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.now_ms = 1_000
        self.rests_s: list[float] = []
        self.running: Counter[int] = Counter()
        self.most_at_once = self.most_of_one = 0

    def pool(self, model: str, account_id: int) -> Pool | None:
        return Pool("engine-m", self.slots) if (model, account_id) == ("m", 0) else None

    def tenant(self, slot: int) -> str:
        return self.tenants.get(slot, "first")

    def has_time(self, slot: int) -> bool:
        return slot not in self.busy

    async def send(self, slot: int, body: bytes) -> Outcome:
        self.running[slot] += 1
        self.most_of_one = max(self.most_of_one, self.running[slot])
        self.most_at_once = max(self.most_at_once, self.running.total())
        asked = json.loads(body)
        assert (asked["model"], asked["max_tokens"]) == ("engine-m", 1)
        self.sent.append((slot, asked["structured_outputs"]["grammar"]))
        await self.gate.wait()
        self.now_ms += self.takes_ms
        self.running[slot] -= 1
        return self.outcomes.get(slot, "taken")

    async def rest(self, seconds: float) -> None:
        self.rests_s.append(seconds)
        await asyncio.sleep(0)


@asynccontextmanager
async def warming(engines: ScriptedEngines, **settings: int) -> AsyncIterator[GrammarWarmer]:
    given = GrammarSettings(**settings)
    warmer = GrammarWarmer(engines, given, now_ms=lambda: engines.now_ms, sleep=engines.rest)
    yield warmer
    engines.gate.set()
    await warmer.close()


def wish(text: str, *, engine: int = NOBODY, account: int = ACCOUNT) -> WarmUpWish:
    constraint = Constraint("grammar", text)
    return WarmUpWish(model="m", account_id=account, engine=engine, constraint=constraint)


async def settle() -> None:
    for _ in range(500):
        await asyncio.sleep(0)


async def test_each_other_engine_gets_a_grammar_once() -> None:
    engines = ScriptedEngines(4)
    async with warming(engines) as warmer:
        assert warmer.offer(wish("g", engine=2)) == 3
        await settle()
        assert sorted(engines.sent) == [(0, "g"), (1, "g"), (3, "g")]
        # What other workers say of it changes nothing.
        assert warmer.offer(wish("g", engine=1)) == warmer.offer(wish("g")) == 0
        await settle()
    assert len(engines.sent) == 3
    assert warmer.outcomes == {"taken": 3}


@pytest.mark.parametrize("outcome", ["refused", "broken", "late"])
async def test_what_the_first_engine_does_not_take_no_other_one_gets(outcome: Outcome) -> None:
    engines = ScriptedEngines(5)
    engines.outcomes = dict.fromkeys(engines.slots, outcome)
    async with warming(engines) as warmer:
        warmer.offer(wish("bomb", engine=0))
        await settle()
        assert engines.sent == [(1, "bomb")]
        warmer.offer(wish("bomb", engine=3))
        await settle()
    assert engines.sent == [(1, "bomb")]


async def test_an_engine_that_is_away_is_passed_over() -> None:
    engines = ScriptedEngines(4)
    engines.outcomes[1] = "away"
    async with warming(engines) as warmer:
        warmer.offer(wish("g", engine=0))
        await settle()
    assert [slot for slot, _ in engines.sent] == [1, 2, 3]


async def test_an_engine_without_time_is_left_alone_and_may_get_it_later() -> None:
    engines = ScriptedEngines(3)
    engines.busy = {1}
    async with warming(engines) as warmer:
        assert warmer.offer(wish("g", engine=0)) == 1
        await settle()
        assert engines.sent == [(2, "g")]
        engines.busy = set()
        assert warmer.offer(wish("g", engine=0)) == 1
        await settle()
    assert engines.sent == [(2, "g"), (1, "g")]


async def test_an_engine_that_fills_up_meanwhile_is_left_alone() -> None:
    engines = ScriptedEngines(3)
    async with warming(engines) as warmer:
        engines.gate.clear()
        warmer.offer(wish("g", engine=0))
        await settle()
        engines.busy = {2}
        engines.gate.set()
        await settle()
    assert engines.sent == [(1, "g")]


async def test_an_engine_that_was_started_anew_gets_it_again() -> None:
    engines = ScriptedEngines(2)
    async with warming(engines) as warmer:
        warmer.offer(wish("g", engine=0))
        await settle()
        engines.tenants[1] = "second"
        assert warmer.offer(wish("g", engine=0)) == 1
        await settle()
    assert engines.sent == [(1, "g"), (1, "g")]


async def test_an_engine_has_one_at_a_time_and_rests_for_nine_times_as_long() -> None:
    engines = ScriptedEngines(2)
    engines.takes_ms = 500
    async with warming(engines) as warmer:
        for number in range(5):
            warmer.offer(wish(f"g{number}", engine=0))
        await settle()
    assert [text for _, text in engines.sent] == [f"g{number}" for number in range(5)]
    assert engines.most_of_one == 1
    assert engines.rests_s == [0.5 * REST_TIMES] * 5


async def test_few_engines_are_asked_at_a_time_however_many_there_are() -> None:
    engines = ScriptedEngines(300)
    async with warming(engines) as warmer:
        for number in range(3):
            warmer.offer(wish(f"g{number}", engine=0))
        await settle()
    assert len(engines.sent) == 3 * 299
    assert engines.most_at_once <= AT_ONCE_MAX


async def test_a_flood_of_one_account_is_bounded_and_leaves_room_for_others() -> None:
    engines = ScriptedEngines(40)
    async with warming(engines, new_schemas_per_minute_max=10_000) as warmer:
        engines.gate.clear()
        for number in range(1_000):
            warmer.offer(wish(f"bomb{number}", engine=0))
        await settle()
        assert warmer.outcomes["dropped"] >= 1_000 - OPEN_MAX // ACCOUNT_SHARE
        assert len(engines.sent) <= AT_ONCE_MAX
        assert warmer.offer(wish("g", engine=0, account=ACCOUNT + 1)) == 39
        assert max(len(line) for line in warmer._lines.values()) <= LINE_MAX
        engines.gate.set()
        await settle()
    assert (39, "g") in engines.sent


async def test_an_account_brings_no_more_than_it_may_bring_new_schemas() -> None:
    engines = ScriptedEngines(2)
    async with warming(engines, new_schemas_per_minute_max=5) as warmer:
        for number in range(20):
            warmer.offer(wish(f"g{number}", engine=0))
            await settle()
        assert len(engines.sent) == 5
        warmer.offer(wish("another", engine=0, account=ACCOUNT + 1))
        await settle()
        assert len(engines.sent) == 6
        engines.now_ms += 60_000
        warmer.offer(wish("later", engine=0))
        await settle()
    assert len(engines.sent) == 7


async def test_what_waited_for_long_is_left_out() -> None:
    engines = ScriptedEngines(2)
    engines.takes_ms = 70_000
    async with warming(engines) as warmer:
        warmer.offer(wish("slow", engine=0))
        warmer.offer(wish("waits", engine=0))
        await settle()
    assert engines.sent == [(1, "slow")]


async def test_nothing_is_done_for_one_engine_unknown_routes_and_where_it_is_off() -> None:
    alone, two = ScriptedEngines(1), ScriptedEngines(2)
    async with warming(alone) as warmer:
        assert warmer.offer(wish("g")) == 0
    async with warming(two, warm_up=False) as warmer:
        assert warmer.offer(wish("g")) == 0
    async with warming(two) as warmer:
        strange = WarmUpWish(
            model="x", account_id=ACCOUNT, constraint=Constraint("grammar", "root ::= [a]")
        )
        assert warmer.offer(strange) == 0
    assert alone.sent == two.sent == []


async def test_a_fault_of_ours_leaves_nothing_open() -> None:
    engines = ScriptedEngines(2)

    async def fail(slot: int, body: bytes) -> Outcome:
        raise RuntimeError("a fault of ours")

    engines.send = fail  # type: ignore[method-assign]
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    async with warming(engines, new_schemas_per_minute_max=10 * OPEN_MAX) as warmer:
        for number in range(OPEN_MAX):
            assert warmer.offer(wish(f"text {number}", engine=0)) == 1
            await settle()
        assert warmer.outcomes == {"broken": OPEN_MAX}
