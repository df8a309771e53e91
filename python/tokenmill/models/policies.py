"""How each pool of a fleet chooses its engines, and how accounts are kept apart in their caches."""

import hashlib

from tokenmill._native import RoutingPolicy
from tokenmill.models.fleet import Fleet
from tokenmill.settings import RoutingSettings

_POLICIES = {
    "prefix": RoutingPolicy.PREFIX,
    "power_of_two": RoutingPolicy.POWER_OF_TWO,
    "session": RoutingPolicy.SESSION,
}


def policies_of(fleet: Fleet, settings: RoutingSettings) -> list[RoutingPolicy]:
    """The policy of each pool, in their order. Vectors have no prefix worth going back to."""
    policies = [RoutingPolicy.POWER_OF_TWO] * len(fleet.pools)
    for route in fleet.routes:
        named = settings.models.get(route.id)
        if named is not None:
            policies[route.pool] = _POLICIES[named]
        elif route.task == "generate" or settings.policy == "session":
            policies[route.pool] = _POLICIES[settings.policy]
    return policies


def salted(body: bytes, account_id: int) -> bytes:
    """The engine's request with the account's salt for vLLM's prefix cache: the same in every
    process and house. `body` is an object with at least one field."""
    salt = hashlib.sha256(b"tokenmill account %d" % account_id).hexdigest()[:32]
    return b'%s,"cache_salt":"%s"}' % (body[:-1], salt.encode())
