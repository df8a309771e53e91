"""GET /health: whether a request could be answered now. GET /livez: whether this process runs."""

import msgspec
from msgspec import Struct

from tokenmill.errors import ModelLoading, NoEngine
from tokenmill.inference.exchange import JSON_TYPE, Exchange
from tokenmill.inference.serving import Serving
from tokenmill.models.lookup import RETRY_MS


class Health(Struct):
    """The body of a good answer."""

    status: str


_OK = msgspec.json.encode(Health("ok"))


async def health(exchange: Exchange, serving: Serving) -> None:
    """200 when some engine can answer, and requests can be admitted. Raises: ModelLoading,
    NoEngine, PursesAway."""
    index = serving.fleet_index()
    if not index.can_answer():
        if index.fleet.is_loading() or not serving.is_ready():
            raise ModelLoading(retry_after_ms=RETRY_MS)
        raise NoEngine(retry_after_ms=RETRY_MS)
    if serving.purses is not None:
        await serving.purses.check()
    await exchange.answer(200, [JSON_TYPE], _OK)


async def livez(exchange: Exchange, serving: Serving) -> None:
    """200, always."""
    del serving
    await exchange.answer(200, [JSON_TYPE], _OK)
