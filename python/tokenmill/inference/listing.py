"""GET /models and GET /models/{id}: what the key's account may ask for. Ids may hold slashes."""

import msgspec

from tokenmill.errors import ModelNotFound
from tokenmill.inference.authorise import authorise
from tokenmill.inference.exchange import JSON_TYPE, Exchange
from tokenmill.inference.serving import Serving
from tokenmill.inference.shared_limits import tell_shared
from tokenmill.models.fleet import Route
from tokenmill.models.lookup import is_allowed, why_absent
from tokenmill.protocol.models import Model, ModelList

_ENCODE = msgspec.json.Encoder().encode


async def models(exchange: Exchange, serving: Serving) -> None:
    """Answers with the list; empty while nothing runs. Raises: ApiError."""
    key = authorise(exchange, serving)
    routes = serving.fleet_index().visible(key.account_id)
    allowed = serving.allowed_models(key)
    shown = [_model(each, each.id) for each in routes if is_allowed(each, None, allowed)]
    listed = ModelList(object="list", data=shown)
    await tell_shared(exchange, serving)
    await exchange.answer(200, [JSON_TYPE], _ENCODE(listed))


async def model(exchange: Exchange, serving: Serving, model_id: str) -> None:
    """Answers with one model; an alias is shown under its own name. Raises: ApiError."""
    key = authorise(exchange, serving)
    index, allowed = serving.fleet_index(), serving.allowed_models(key)
    route = index.find(model_id, key.account_id)
    if route is None and (allowed is None or model_id in allowed):
        absent = why_absent(index, model_id, key.account_id)
        if absent is not None:
            raise absent
    if route is None or not is_allowed(route, model_id, allowed):
        raise ModelNotFound(f"The model '{model_id[:128]}' does not exist.", param="model")
    await tell_shared(exchange, serving)
    await exchange.answer(200, [JSON_TYPE], _ENCODE(_model(route, model_id)))


def _model(route: Route, name: str) -> Model:
    return Model(
        id=name,
        object="model",
        created=route.created,
        owned_by=route.owned_by,
        max_model_len=route.context_tokens_max or None,
        parent=route.parent or None,
    )
