"""The keeper on real sockets: what appears, goes, hangs or changes, and what the fleet says."""

import asyncio
import contextlib
import logging
import os
import socket
import time
from asyncio import StreamWriter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.strangers import MODELS, answer, canned, stranger, vllm_answers
from tokenmill._native import Segment
from tokenmill.control.keeper import FleetSegment, Keeper, KeeperSettings
from tokenmill.engines.address import local_address
from tokenmill.engines.rules import Origin, Patience
from tokenmill.engines.targets import Target
from tokenmill.models.fleet import Fleet
from tokenmill.models.fleet_file import read_fleet
from tokenmill.settings import DiscoverySettings

NOTICED_S = 30.0
"""For a busy machine. What is promised to users, two seconds, is a matter of the settings."""

EMBEDDED = {
    "/version": answer({"version": "0.9.5"}),
    "/v1/models": answer(
        {"object": "list", "data": [{"id": "demo", "owned_by": "tokenmill", "task": "generate"}]}
    ),
    "/health": answer(b""),
}


@pytest.fixture
def segment(tmp_path: Path) -> Segment:
    path = str(tmp_path / "hot.segment")
    return Segment.create(path, keys_max=64, workers_max=2, engines_max=8)


@pytest.fixture
def port() -> Iterator[int]:
    """A loopback port that refuses until somebody listens there."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def target(port: int, origin: Origin = "found", name: str = "") -> Target:
    return Target(name=name or f"at-{port}", address=local_address(port), origin=origin)


def make_keeper(
    state: Path, segment: FleetSegment, targets: Sequence[Target], previous: Fleet | None = None
) -> Keeper:
    settings = KeeperSettings(
        state=state,
        targets=tuple(targets),
        interval_ms=100,
        look_ms=2_000,
        patience=Patience(start_ms=60_000),
        engines_max=8,
        aliases={},
    )
    return Keeper(settings, segment, previous or Fleet())


@contextlib.asynccontextmanager
async def running(keeper: Keeper, assignments: dict[str, int] | None = None) -> AsyncIterator[None]:
    keeper.assign(assignments or {})
    task = asyncio.create_task(keeper.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(holds: Callable[[], Any], within_s: float = NOTICED_S) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "not noticed in time"
        await asyncio.sleep(0.005)


def models(state: Path) -> list[str]:
    return [route.id for route in read_fleet(state).routes]


def test_the_settings_notice_an_engine_by_the_time_that_is_promised() -> None:
    """Within two seconds: it is looked for so often, and each look takes no longer."""
    usual = DiscoverySettings()
    assert usual.interval_ms + usual.probe_ms < 2_000


async def test_a_vllm_that_appears_and_goes_is_noticed(
    tmp_path: Path, segment: Segment, port: int
) -> None:
    keeper = make_keeper(tmp_path, segment, [target(port)])
    async with running(keeper):
        await until(lambda: segment.fleet_generation == 1)
        assert models(tmp_path) == []
        async with stranger(canned(vllm_answers()), port=port):
            await until(lambda: models(tmp_path) == ["tiny-chat"])
            assert read_fleet(tmp_path).absent == ()
        await until(lambda: models(tmp_path) == [])
    fleet = read_fleet(tmp_path)
    assert fleet.generation == segment.fleet_generation == 3
    assert [each.name for each in fleet.absent] == ["tiny-chat"]


async def test_engines_are_added_drained_and_removed_while_it_runs(
    tmp_path: Path, segment: Segment
) -> None:
    async with stranger(canned(vllm_answers())) as port, stranger(canned(vllm_answers())) as other:
        keeper = make_keeper(tmp_path, segment, [target(port, "named", "first")])
        async with running(keeper):
            await until(lambda: [len(pool) for pool in keeper.fleet.pools] == [1])
            keeper.add(target(other, "added", "second"))
            await until(lambda: [len(pool) for pool in keeper.fleet.pools] == [2])
            keeper.drain([local_address(other).url])
            assert [len(pool) for pool in keeper.fleet.pools] == [1]
            drained = {engine.name: engine.is_draining for engine in keeper.fleet.engines}
            assert drained == {"first": False, "second": True}
            keeper.drain([])
            assert [len(pool) for pool in keeper.fleet.pools] == [2]
            keeper.remove("second")
            assert [engine.name for engine in keeper.fleet.engines] == ["first"]
            assert [engine.name for engine in read_fleet(tmp_path).engines] == ["first"]


async def test_the_models_of_an_engine_that_is_away_are_known(
    tmp_path: Path, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also to the next control, and for a while where the engine is in no list any more; not those
    of an engine that somebody removed."""

    def absent(keeper: Keeper) -> list[str]:
        return [each.name for each in keeper.fleet.absent]

    async with stranger(canned(vllm_answers())) as port:
        at = target(port, "added", "one")
        keeper = make_keeper(tmp_path, segment, [at])
        async with running(keeper):
            await until(lambda: models(tmp_path) == ["tiny-chat"])
    again = make_keeper(tmp_path, segment, [at], read_fleet(tmp_path))
    async with running(again):
        await until(again.has_published.is_set)
        assert absent(again) == ["tiny-chat"]
    third = make_keeper(tmp_path, segment, [at], read_fleet(tmp_path))
    async with running(third):
        await until(third.has_published.is_set)
        assert absent(third) == ["tiny-chat"]
        third.remove("one", is_lost=True)
        assert absent(third) == ["tiny-chat"]
        third.add(at)
        third.remove("one")
        assert absent(third) == ["tiny-chat"]
        monkeypatch.setattr("tokenmill.control.lost_engines.LOST_MS", 0)
        third.publish()
        assert absent(third) == []
        third.add(at)
        third.remove("one")
        assert absent(third) == []


async def test_a_vllms_own_load_is_noted(tmp_path: Path) -> None:
    metrics = b'vllm:num_requests_running{engine="0"} 3.0\nvllm:kv_cache_usage_perc 0.5\n'
    noted: list[tuple[int, dict[str, int]]] = []
    cleared: list[int] = []

    class Noting:
        fleet_generation = 0

        def publish_fleet(self, generation: int) -> None:
            self.fleet_generation = generation

        def begin_engine(self, engine: int, has_returned: bool) -> None:
            assert not has_returned

        def clear_engine_totals(self, engine: int) -> None:
            cleared.append(engine)

        def note_engine_metrics(
            self, engine: int, *, running: int, waiting: int, cache_permille: int
        ) -> None:
            load = {"running": running, "waiting": waiting, "cache_permille": cache_permille}
            noted.append((engine, load))

    manners = canned({**vllm_answers(), "/metrics": answer(metrics)})
    async with (
        stranger(manners) as port,
        running(make_keeper(tmp_path, Noting(), [target(port)])),
    ):
        await until(lambda: noted)
    assert noted[0] == (0, {"running": 3, "waiting": 0, "cache_permille": 500})
    assert cleared == [0]


async def test_a_busy_engine_that_misses_looks_stays(tmp_path: Path, segment: Segment) -> None:
    is_busy = asyncio.Event()

    async def manners(asked: str, writer: StreamWriter) -> None:
        if is_busy.is_set():
            await asyncio.sleep(60)
        await canned(vllm_answers())(asked, writer)

    async with stranger(manners) as port, stranger(canned(vllm_answers())) as other:
        keeper = make_keeper(tmp_path, segment, [target(port), target(other)])
        async with running(keeper):
            await until(lambda: [len(pool) for pool in keeper.fleet.pools] == [2])
            is_busy.set()
            await until(lambda: keeper.known[0].watch.detail, within_s=10)
            generation = segment.fleet_generation
            looked_ms = keeper.known[1].watch.answered_ms
            # The other one is looked at all the while: it does not wait for the busy one.
            await until(lambda: keeper.known[1].watch.answered_ms > looked_ms + 200)
            assert keeper.known[0].watch.state == "serving"
            assert segment.fleet_generation == generation


async def test_adapters_that_are_loaded_are_seen(tmp_path: Path, segment: Segment) -> None:
    card: dict[str, object] = MODELS["data"][0]  # type: ignore[index]
    answers = vllm_answers()
    async with (
        stranger(canned(answers)) as port,
        running(make_keeper(tmp_path, segment, [target(port)])),
    ):
        await until(lambda: models(tmp_path) == ["tiny-chat"])
        adapter = card | {"id": "lora-alpha", "parent": "tiny-chat"}
        answers["/v1/models"] = answer({"object": "list", "data": [card, adapter]})
        await until(lambda: models(tmp_path) == ["tiny-chat", "lora-alpha"])


async def test_the_first_fleet_waits_for_the_embedded_engine(
    tmp_path: Path, segment: Segment, port: int
) -> None:
    keeper = make_keeper(tmp_path, segment, [target(port, "ours", "embedded")])
    async with running(keeper):
        await until(lambda: keeper.known[0].watch.state == "loading")
        assert segment.fleet_generation == 0
        async with stranger(canned(EMBEDDED), port=port):
            await until(lambda: segment.fleet_generation == 1)
            assert models(tmp_path) == ["demo"]


async def test_a_vllm_of_ours_that_loads_is_told_at_once(
    tmp_path: Path, segment: Segment, port: int
) -> None:
    keeper = make_keeper(tmp_path, segment, [target(port, "ours", "vllm")])
    async with running(keeper):
        await until(lambda: segment.fleet_generation == 1)
    assert read_fleet(tmp_path).is_loading()


async def test_nothing_is_published_before_it_is_known_whose_engines_are(
    tmp_path: Path, segment: Segment
) -> None:
    async with stranger(canned(vllm_answers())) as port:
        keeper = make_keeper(tmp_path, segment, [target(port, "named", "a")])
        task = asyncio.create_task(keeper.run())
        await until(lambda: keeper.known[0].watch.state == "serving")
        assert segment.fleet_generation == 0
        keeper.assign({"a": 7})
        await until(lambda: segment.fleet_generation == 1)
        task.cancel()
        await asyncio.wait({task})
    (route,) = read_fleet(tmp_path).routes
    assert (route.kind, route.account_id) == ("dedicated", 7)


async def test_a_new_keeper_goes_on_where_the_last_one_was_killed(
    tmp_path: Path, segment: Segment, port: int
) -> None:
    is_busy = asyncio.Event()

    async def manners(asked: str, writer: StreamWriter) -> None:
        if is_busy.is_set():
            await asyncio.sleep(60)
        await canned(vllm_answers())(asked, writer)

    async with stranger(manners) as busy:
        targets = [target(port), target(busy)]
        async with running(make_keeper(tmp_path, segment, targets)):
            await until(lambda: models(tmp_path) == ["tiny-chat"])
        before = read_fleet(tmp_path)
        is_busy.set()
        async with running(again := make_keeper(tmp_path, segment, targets, before)):
            async with stranger(canned(EMBEDDED | vllm_answers()), port=port):
                await until(lambda: segment.fleet_generation > before.generation)
            assert again.known[1].watch.state == "serving"
    after = read_fleet(tmp_path)
    slots = {engine.name: engine.slot for engine in after.engines}
    assert all(slots[engine.name] == engine.slot for engine in before.engines)


async def test_a_fleet_that_cannot_be_written_leaves_the_old_one_in_force(
    tmp_path: Path, segment: Segment, port: int
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    keeper = make_keeper(state, segment, [target(port)])
    async with running(keeper):
        await until(lambda: segment.fleet_generation == 1)
        blocked = state / f"fleet.json.{os.getpid()}"
        blocked.mkdir()  # the draft cannot be made
        async with stranger(canned(vllm_answers()), port=port):
            await until(lambda: keeper.known[0].watch.state == "serving")
            assert (segment.fleet_generation, models(state)) == (1, [])
            blocked.rmdir()
            await until(lambda: models(state) == ["tiny-chat"])


async def test_the_snapshot_is_private(tmp_path: Path, segment: Segment) -> None:
    """It holds the engines' API keys."""
    async with running(make_keeper(tmp_path, segment, [])):
        await until(lambda: segment.fleet_generation == 1)
    assert (tmp_path / "fleet.json").stat().st_mode & 0o777 == 0o600


async def test_a_stranger_on_a_discovery_port_is_never_listed(
    tmp_path: Path, segment: Segment
) -> None:
    async with stranger(canned({"/v1/models": answer(MODELS)})) as port:
        keeper = make_keeper(tmp_path, segment, [target(port)])
        async with running(keeper):
            await until(lambda: segment.fleet_generation == 1)
        assert keeper.reports() == []


async def test_a_named_engine_that_is_not_there_is_told_once(
    tmp_path: Path, segment: Segment, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    named = target(port, "named", "theirs")
    keeper = make_keeper(tmp_path, segment, [named, target(port, "found")])
    with caplog.at_level(logging.WARNING):
        for known in [*keeper.known, *keeper.known]:
            await keeper._look(known)
    (told,) = [vars(record) for record in caplog.records]
    assert (told["engine"], told["outcome"]) == ("theirs", "refused")
