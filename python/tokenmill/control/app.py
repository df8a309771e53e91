"""The wiring of the control plane: which feature's routes stand where. The one place for that.

Everything under /control is for this machine's command line alone: the socket is private, and what
a worker passed on from outside carries a mark and is told that there is nothing here.
"""

from collections.abc import Sequence
from typing import Any

from litestar import Litestar, Router
from litestar.connection import ASGIConnection
from litestar.datastructures import MutableScopeHeaders
from litestar.handlers.base import BaseRouteHandler
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope

from tokenmill.control.errors import EXCEPTION_HANDLERS
from tokenmill.errors import NotFound

Routes = BaseRouteHandler | Router

RELAYED_HEADER = "x-tokenmill-relayed"
"""Set by the gateway on every request that it passes on, whatever the client sent."""

ADMIN_BODY_BYTES_MAX = 64 * 1024


class ControlApp(Litestar):
    """Litestar for msgspec's types alone: where pydantic is installed, as beside OpenAI's client,
    it would import that for nothing, a sixth of a second of control's start."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def create_app(*, admin: Sequence[Routes], public: Sequence[Routes]) -> Litestar:
    """The app: `admin` routes under /control, `public` ones as they are."""
    private = Router(path="/control", route_handlers=list(admin), guards=[_refuse_relayed])
    return ControlApp(
        route_handlers=[private, *public],
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        logging_config=None,
        request_max_body_size=ADMIN_BODY_BYTES_MAX,
        before_send=[_name_all_methods],
    )


def _refuse_relayed(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """After routing, so that no spelling of a path gets round it."""
    if RELAYED_HEADER in connection.headers:
        raise NotFound


async def _name_all_methods(message: Message, scope: Scope) -> None:
    """Litestar's own answer to OPTIONS names the methods of the first handler of a path alone."""
    if message["type"] == "http.response.start" and scope.get("method") == "OPTIONS":
        place = scope["path_template"]
        routes = (each for each in scope["litestar_app"].routes if isinstance(each, HTTPRoute))
        methods = {name for each in routes if each.path_format == place for name in each.methods}
        headers = MutableScopeHeaders.from_message(message)
        headers["allow"] = ", ".join(sorted(methods))
