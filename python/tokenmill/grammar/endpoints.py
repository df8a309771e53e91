"""POST /control/grammars/warm, for workers."""

from typing import Protocol

from litestar import post
from litestar.handlers.base import BaseRouteHandler

from tokenmill.grammar.views import TEXT_BYTES_MAX, WarmUpTaken, WarmUpWish

_BODY_BYTES_MAX = 4 * TEXT_BYTES_MAX
"""With what JSON adds to a text full of quotes."""


class Warmer(Protocol):
    """Who has engines get grammars ready."""

    def offer(self, wish: WarmUpWish) -> int:
        """How many engines will."""


def warm_route(warmer: Warmer) -> BaseRouteHandler:
    """The handler, to be placed under /control."""

    @post("/grammars/warm", status_code=202, request_max_body_size=_BODY_BYTES_MAX)
    async def warm_engines(data: WarmUpWish) -> WarmUpTaken:
        return WarmUpTaken(warmer.offer(data))

    return warm_engines
