"""The policy of each pool, and the salt of each account."""

import json

from tokenmill._native import RoutingPolicy
from tokenmill.engines.recognition import Task
from tokenmill.models.fleet import Fleet, Route
from tokenmill.models.policies import policies_of, salted
from tokenmill.settings import RoutingSettings

TWO, PREFIX, SESSION = (
    RoutingPolicy.POWER_OF_TWO,
    RoutingPolicy.PREFIX,
    RoutingPolicy.SESSION,
)


def fleet(**tasks: Task) -> Fleet:
    """A pool for each model."""
    routes = tuple(
        Route(id=name, task=task, pool=pool, engine_model=name, created=1, owned_by="vllm")
        for pool, (name, task) in enumerate(tasks.items())
    )
    return Fleet(pools=tuple((pool,) for pool in range(len(routes))), routes=routes)


def test_texts_go_by_prefix_and_vectors_by_load_unless_settings_say_otherwise() -> None:
    house = fleet(chat="generate", vectors="embed", other="generate")
    assert policies_of(house, RoutingSettings()) == [PREFIX, TWO, PREFIX]
    by_load = RoutingSettings(policy="power_of_two", models={"other": "session"})
    assert policies_of(house, by_load) == [TWO, TWO, SESSION]
    by_session = RoutingSettings(policy="session", models={"chat": "prefix"})
    assert policies_of(house, by_session) == [PREFIX, SESSION, SESSION]


def test_an_account_has_one_salt_and_no_other_account_has_it() -> None:
    one, same, other = (json.loads(salted(b'{"model":"m"}', account)) for account in (1, 1, 2))
    assert one == same
    assert one["model"] == "m"
    assert len(one["cache_salt"]) == 32
    assert one["cache_salt"] != other["cache_salt"]
