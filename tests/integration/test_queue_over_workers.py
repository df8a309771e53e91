"""Two workers before one engine: its places and the turns of accounts hold over both."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.gateway import ACCOUNT, OTHER_ACCOUNT, put_account
from tests.support.relays import TARGET, collect, limits, until
from tests.support.scripted_upstream import ScriptedUpstream, Wait, whole
from tokenmill._native import (
    AnswerKind,
    Forwarder,
    KeyEntry,
    Payer,
    Relay,
    Segment,
    Tariff,
    WorkerState,
)
from tokenmill.keys.rules import ALL_SCOPES, digest, make_secret

SECRETS = {ACCOUNT: make_secret("a" * 36), OTHER_ACCOUNT: make_secret("b" * 36)}
TARIFF = Tariff(
    model=1,
    service_class=0,
    endpoint=0,
    prompt_nanos=100,
    cached_nanos=100,
    completion_nanos=100,
)
HELD_S = 0.02
ANSWER = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}


@dataclass
class Workers:
    """Forwarders of one segment, as the workers of a house have them."""

    segment: Segment
    forwarders: dict[int, Forwarder]
    relays: list[Relay] = field(default_factory=list)

    def ask(self, worker: int, account_id: int = ACCOUNT) -> Relay:
        """A request on its way, of one of the accounts."""
        entry = self.segment.find_key(SECRETS[account_id].encode(), 0)
        assert isinstance(entry, KeyEntry)
        payer = Payer(
            entry,
            TARIFF,
            prompt_tokens_max=10,
            completion_tokens_max=10,
            tokens_estimate=10,
            prompt_tokens_min=1,
            enforce=True,
        )
        body = b'{"account": %d}' % account_id
        relay = self.forwarders[worker].start(
            0, TARGET, body, kind=AnswerKind.WHOLE, request_id="req-1", payer=payer
        )
        assert isinstance(relay, Relay)
        self.relays.append(relay)
        return relay


@asynccontextmanager
async def two_workers(folder: Path, url: str, places: int) -> AsyncIterator[Workers]:
    path = str(folder / "hot.segment")
    segment = Segment.create(path, keys_max=16, workers_max=4, engines_max=4)
    for number, (account_id, secret) in enumerate(SECRETS.items(), 1):
        put_account(segment, account_id)
        segment.put_key(
            digest(secret),
            key_id=number,
            account_id=account_id,
            tier=3,
            scopes=int(ALL_SCOPES),
            expires_at_s=0,
        )
    with ExitStack() as stack:
        bounds = limits(wait_ms=60_000)
        workers = Workers(segment, {})
        for worker in (1, 2):
            forwarder = stack.enter_context(_forwarder(segment, worker, lambda: bounds))
            forwarder.set_fleet([(0, url, None)], [[0]], places=[places])
            workers.forwarders[worker] = forwarder
        yield workers


@contextmanager
def _forwarder(segment: Segment, worker: int, bounds: Callable[[], object]) -> Iterator[Forwarder]:
    forwarder = Forwarder(segment, worker, bounds())  # type: ignore[arg-type]
    loop = asyncio.get_running_loop()
    loop.add_reader(forwarder.wake_fd(), forwarder.dispatch)
    try:
        yield forwarder
    finally:
        loop.remove_reader(forwarder.wake_fd())
        forwarder.close()


def hold(upstream: ScriptedUpstream, count: int) -> list[asyncio.Event]:
    gates = [asyncio.Event() for _ in range(count)]
    for gate in gates:
        upstream.play(Wait(gate), *whole(ANSWER))
    return gates


async def test_the_places_of_an_engine_hold_over_all_workers(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, two_workers(tmp_path, upstream.url, 3) as workers:
        gates = hold(upstream, 20)
        for number in range(20):
            workers.ask(1 + number % 2)
        for number, gate in enumerate(gates):
            await upstream.request_count(min(number + 3, 20))
            assert len(upstream.requests) <= number + 3
            gate.set()
        answers = [await collect(relay) for relay in workers.relays]
        assert all(answer.whole is not None for answer in answers)
        await until(lambda: workers.segment.engine_in_flight(0) == 0)
        assert workers.segment.waiting() == 0


async def test_an_account_of_one_worker_does_not_starve_beside_a_flood_at_another(
    tmp_path: Path,
) -> None:
    """Judged where all places were held about as long, for that is what a request costs."""
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        order, longest_s = await order_beside_a_flood(folder)
        if longest_s < 4 * HELD_S:
            break
    assert all(order) is False
    # Turn by turn from where it came in: its four are among the first dozen.
    assert sum(order[:12]) == 4, order


async def order_beside_a_flood(folder: Path) -> tuple[list[bool], float]:
    """Which requests are the other account's, as they came to the engine, and the longest time
    between two."""
    longest_s = 0.0
    async with ScriptedUpstream() as upstream, two_workers(folder, upstream.url, 1) as workers:
        gates = hold(upstream, 24)
        for _ in range(20):
            workers.ask(1)
        await until(lambda: workers.segment.worker_waiting(1) == 19)
        for _ in range(4):
            workers.ask(2, OTHER_ACCOUNT)
        await until(lambda: workers.segment.worker_waiting(2) == 4)
        for number, gate in enumerate(gates):
            began_s = time.monotonic()
            await upstream.request_count(number + 1)
            await asyncio.sleep(HELD_S)
            longest_s = max(longest_s, time.monotonic() - began_s)
            gate.set()
        for relay in workers.relays:
            await collect(relay)
        return [b"%d" % OTHER_ACCOUNT in each.body for each in upstream.requests], longest_s


async def test_a_worker_that_died_while_others_waited_holds_nobody_up(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, two_workers(tmp_path, upstream.url, 1) as workers:
        gates = hold(upstream, 2)
        upstream.always(*whole(ANSWER))  # one more may come through while the worker dies
        first = workers.ask(1)
        await upstream.request_count(1)
        for _ in range(3):
            workers.ask(1, OTHER_ACCOUNT)
        last = workers.ask(2)
        await until(lambda: workers.segment.waiting() == 4)
        first.close()
        workers.forwarders[1].close()
        workers.segment.set_worker_state(1, WorkerState.FREE)
        await until(lambda: workers.segment.worker_waiting(1) == 0)
        for gate in gates:
            gate.set()
        assert (await collect(last)).whole is not None
