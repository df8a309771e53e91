"""A house follows the engines of a scripted cluster, over TLS and with the account's token."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.test_keeper import make_keeper, running, until
from tests.support.kubernetes_api import (
    NAMESPACE,
    SELECTOR,
    KubernetesApi,
    endpoint,
    endpoint_slice,
)
from tests.support.strangers import canned, stranger, vllm_answers
from tokenmill._native import Segment
from tokenmill.control.keeper import Keeper
from tokenmill.control.kubernetes_engines import KubernetesEngines, SliceFollower
from tokenmill.engines.kubernetes.api import SliceApi, find_place
from tokenmill.engines.kubernetes.slices import FoundEngine
from tokenmill.models.fleet import Engine, Fleet
from tokenmill.settings import KubernetesSettings

HERE = "127.0.0.1"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[KubernetesApi]:
    account = tmp_path / "account"
    account.mkdir()
    served = KubernetesApi(account)
    yield served
    served.stop()


def settings_of(api: KubernetesApi, **changes: str) -> KubernetesSettings:
    return KubernetesSettings(
        selector=SELECTOR, api_url=api.url, account=api.account, watch_s=5, **changes
    )


@contextlib.asynccontextmanager
async def following(api: KubernetesApi, keeper: Keeper) -> AsyncIterator[KubernetesEngines]:
    """The keeper of a house, told of the cluster; failures are tried again at once."""
    settings = settings_of(api)
    engines = KubernetesEngines(keeper, settings)
    loop = asyncio.get_running_loop()

    def tell(found: dict[str, FoundEngine]) -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(engines.take, found)

    place = find_place(settings, {})
    follower = SliceFollower(SliceApi(place, SELECTOR), settings, tell, pauses_s=(0.02, 0.2))
    follower.start()
    await engines.first()
    async with running(keeper):
        try:
            yield engines
        finally:
            follower.stop()


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    segment = Segment.create(str(tmp_path / "s"), keys_max=8, workers_max=2, engines_max=8)
    return make_keeper(tmp_path, segment, [])


def names(keeper: Keeper) -> list[str]:
    return sorted(known.target.name for known in keeper.known)


def taking(keeper: Keeper) -> list[str]:
    """Engines that get requests."""
    pooled = {slot for pool in keeper.fleet.pools for slot in pool}
    return sorted(one.name for one in keeper.fleet.engines if one.slot in pooled)


async def test_engines_come_drain_and_go(api: KubernetesApi, keeper: Keeper) -> None:
    async with (
        stranger(canned(vllm_answers())) as one,
        stranger(canned(vllm_answers())) as two,
        following(api, keeper),
    ):
        assert names(keeper) == []
        api.put(endpoint_slice("a", one, endpoint(HERE, "vllm-0", ready=True)))
        api.put(endpoint_slice("b", two, endpoint(HERE, "vllm-1", ready=False)))
        await until(lambda: taking(keeper) == ["vllm-0"])
        assert names(keeper) == ["vllm-0"], "one that was never ready is not there yet"
        api.put(endpoint_slice("b", two, endpoint(HERE, "vllm-1", ready=True)))
        await until(lambda: taking(keeper) == ["vllm-0", "vllm-1"])
        ending = endpoint(HERE, "vllm-0", ready=False, serving=True, terminating=True)
        api.put(endpoint_slice("a", one, ending))
        await until(lambda: taking(keeper) == ["vllm-1"])
        assert names(keeper) == ["vllm-0", "vllm-1"], "it finishes what it has"
        api.delete("a")
        await until(lambda: names(keeper) == ["vllm-1"])
        assert [known.target.origin for known in keeper.known] == ["kubernetes"]


async def test_a_list_comes_in_pages(api: KubernetesApi, keeper: Keeper) -> None:
    api.page = 2
    for number in range(5):
        api.put(endpoint_slice(f"s{number}", 9, endpoint(HERE, f"p{number}", ready=False)))
        api.put(endpoint_slice(f"s{number}", 9 + number, endpoint(HERE, f"p{number}")))
    async with following(api, keeper):
        await until(lambda: names(keeper) == [f"p{number}" for number in range(5)])
    lists = [query for query in api.asked if "watch" not in query]
    assert [query.get("continue") for query in lists] == [None, "2", "4"]


async def test_a_watch_goes_on_where_it_ended(api: KubernetesApi, keeper: Keeper) -> None:
    """Ended, cut or refused for its age: nothing is missed, and the list is asked for only where
    it has to be."""
    async with following(api, keeper):
        api.put(endpoint_slice("a", 1, endpoint(HERE, "a")))
        await until(lambda: names(keeper) == ["a"])
        api.end_watches()
        api.put(endpoint_slice("b", 2, endpoint(HERE, "b")))
        await until(lambda: names(keeper) == ["a", "b"])
        assert api.lists == 1
        api.bookmark()
        await until(lambda: api.end_watches() or watched_from(api) >= 103, within_s=10)

        api.is_away = True
        api.end_watches()
        await until(lambda: api.refusals > 0, within_s=10)  # no watch is left
        api.put(endpoint_slice("c", 3, endpoint(HERE, "c")))
        api.delete("a")
        api.forget()
        await asyncio.sleep(0.3)
        assert names(keeper) == ["a", "b"], "what is known stays"
        api.is_away = False
        await until(lambda: names(keeper) == ["b", "c"], within_s=10)
        assert api.lists == 2


def watched_from(api: KubernetesApi) -> int:
    """The version that the last watch began at."""
    return int([query for query in api.asked if "watch" in query][-1]["resourceVersion"])


async def test_a_token_that_changes_on_the_disk_is_read_anew(
    api: KubernetesApi, keeper: Keeper
) -> None:
    async with following(api, keeper):
        api.change_token("second")
        api.end_watches()
        api.put(endpoint_slice("a", 1, endpoint(HERE, "a")))
        await until(lambda: names(keeper) == ["a"], within_s=10)


GARBAGE: list[Callable[[KubernetesApi], None]] = [
    lambda api: api.send({"type": "ADDED", "object": {"metadata": {"name": 5}}}),
    lambda api: api.send({"type": "PERHAPS", "object": {}}),
    lambda api: api.send({"type": "ERROR", "object": {"code": 500, "message": "oops"}}),
    lambda api: api.send({"type": "ERROR", "object": {"code": 410, "reason": "Gone"}}),
]


@pytest.mark.parametrize("send", GARBAGE)
async def test_what_nobody_understands_changes_nothing(
    api: KubernetesApi, keeper: Keeper, send: Callable[[KubernetesApi], None]
) -> None:
    async with following(api, keeper):
        api.put(endpoint_slice("a", 1, endpoint(HERE, "a")))
        await until(lambda: names(keeper) == ["a"])
        send(api)
        api.put(endpoint_slice("bad", 1, endpoint("no address", "x")))
        api.put(endpoint_slice("b", 2, endpoint(HERE, "b")))
        await until(lambda: names(keeper) == ["a", "b"], within_s=10)


async def test_a_house_that_begins_without_the_api_keeps_its_last_engines(
    api: KubernetesApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api.is_away = True
    segment = Segment.create(str(tmp_path / "s"), keys_max=8, workers_max=2, engines_max=8)
    async with stranger(canned(vllm_answers())) as port:
        engine = Engine(slot=0, name="a", url=f"http://{HERE}:{port}", kind="vllm", state="serving")
        keeper = make_keeper(tmp_path, segment, [], Fleet(generation=1, engines=(engine,)))
        with caplog.at_level(logging.WARNING):
            async with following(api, keeper):
                assert names(keeper) == ["a"]
                api.is_away = False
                await until(lambda: names(keeper) == [], within_s=10)
    assert sum("engines stay" in record.message for record in caplog.records) == 1


async def test_slices_in_any_order_come_to_what_is_there(
    api: KubernetesApi, keeper: Keeper
) -> None:
    """A hundred random deeds, with watches that end and pasts that are forgotten between them."""
    chance = random.Random(7)
    there: dict[str, list[str]] = {}
    async with following(api, keeper):
        for _ in range(100):
            name = f"s{chance.randrange(4)}"
            if chance.random() < 0.3 and name in there:
                api.delete(name)
                del there[name]
            else:
                pods = [f"{name}-{n}" for n in range(chance.randrange(3))]
                port = 10 + int(name[1:])
                hosts = [endpoint(f"127.0.0.{n + 1}", pod) for n, pod in enumerate(pods)]
                api.put(endpoint_slice(name, port, *hosts))
                there[name] = pods
            if chance.random() < 0.1:
                api.end_watches()
            if chance.random() < 0.05:
                api.forget()
            await asyncio.sleep(0)
        wanted = sorted(pod for pods in there.values() for pod in pods)
        await until(lambda: names(keeper) == wanted, within_s=20)


def test_where_the_api_is(tmp_path: Path) -> None:
    (tmp_path / "namespace").write_text(f"{NAMESPACE}\n")
    inside = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    settings = KubernetesSettings(selector=SELECTOR, account=tmp_path)
    place = find_place(settings, inside)
    assert (place.url, place.namespace) == ("https://10.96.0.1:6443", NAMESPACE)
    assert (
        find_place(settings, {"KUBERNETES_SERVICE_HOST": "fd00::1"}).url == "https://[fd00::1]:443"
    )
    for wrong, environment, words in [
        (settings, {}, "no pod"),
        (KubernetesSettings(account=tmp_path / "x"), inside, "namespace"),
        (KubernetesSettings(account=tmp_path, api_url="nowhere"), {}, "api_url"),
    ]:
        with pytest.raises(ValueError, match=words):
            find_place(wrong, environment)
