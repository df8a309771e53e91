"""What a worker tells control of a new grammar, so that the pool's other engines get it ready.

Beside the request, once it was admitted: nobody waits for it, and what comes of it changes nothing
for anybody but the time that a later request takes.
"""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from tokenmill._native import Relay
from tokenmill.grammar.views import TEXT_BYTES_MAX, Constraint, WarmUpWish
from tokenmill.inference.control_asking import ask_control

if TYPE_CHECKING:
    from tokenmill.inference.relaying import Order
    from tokenmill.inference.serving import Serving

_TARGET = "/control/grammars/warm"
_AT_ONCE_MAX = 16
"""What one worker tells at a time; more than that is an attack or a start, and is left out."""
_LOOK_S = 0.05
_LOOKS_MAX = 20
"""At what engine was chosen for the request: at once, unless it waits for a place."""


class WarmUps:
    """What one worker is telling control. Used on its event loop only."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[None]] = set()

    def offer(self, serving: "Serving", order: "Order", running: Relay) -> None:
        """Tells control of the order's grammar, if it is new and its pool has other engines."""
        constraint, order.constraint = order.constraint, None
        if constraint is None or not serving.settings.grammar.warm_up:
            return
        if len(constraint.text) > TEXT_BYTES_MAX or len(self._under_way) >= _AT_ONCE_MAX:
            return
        if serving.fleet_index().engine_count(order.route) < 2:
            return
        telling = self._tell(serving, _wish(order, constraint), running)
        task = asyncio.create_task(telling)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _tell(self, serving: "Serving", wish: WarmUpWish, running: Relay) -> None:
        for _ in range(_LOOKS_MAX):
            await asyncio.sleep(_LOOK_S)
            if running.engine >= 0:
                break
        wish = msgspec.structs.replace(wish, engine=running.engine)
        body = msgspec.json.encode(wish)
        await ask_control(serving.forwarder, serving.control_pool, _TARGET, body)


def _wish(order: "Order", constraint: Constraint) -> WarmUpWish:
    return WarmUpWish(
        model=order.route.id,
        route_account_id=order.route.account_id,
        account_id=order.demand.key.account_id,
        constraint=constraint,
    )
