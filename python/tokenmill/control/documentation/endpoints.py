"""The public routes of the description: the document, the page that shows it, the page's style.

The page is made once, of what the document says; it loads nothing from anywhere else, which its
Content-Security-Policy states.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from litestar import HttpMethod, Response, route
from litestar.handlers.base import BaseRouteHandler

from tokenmill.control.documentation.dashboard_routes import (
    SECURITY,
    TAGS,
    dashboard_paths,
    dashboard_schemas,
)
from tokenmill.control.documentation.own_routes import OWN_PATHS
from tokenmill.control.documentation.page import render_page
from tokenmill.protocol.openapi import document

_READ = [HttpMethod.GET, HttpMethod.HEAD]
_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


@cache
def whole_document() -> dict[str, Any]:
    """The data plane's description and control's own public routes."""
    described = document()
    components = described["components"]
    components["schemas"] |= dashboard_schemas()
    components["securitySchemes"] |= SECURITY
    return described | {
        "paths": described["paths"] | dashboard_paths() | OWN_PATHS,
        "tags": described["tags"] + TAGS,
    }


@cache
def _document_bytes() -> bytes:
    return msgspec.json.encode(whole_document())


@cache
def _page() -> str:
    return render_page(whole_document())


@cache
def _style() -> bytes:
    return files("tokenmill.control.documentation").joinpath("docs.css").read_bytes()


@route("/openapi.json", http_method=_READ, sync_to_thread=False)
def show_document() -> Response[bytes]:
    return Response(_document_bytes(), media_type="application/json")


@route("/docs", http_method=_READ, sync_to_thread=False)
def show_page() -> Response[str]:
    return Response(_page(), media_type="text/html", headers=_HEADERS)


@route("/docs/docs.css", http_method=_READ, sync_to_thread=False)
def show_style() -> Response[bytes]:
    return Response(_style(), media_type="text/css", headers=_HEADERS)


DOCUMENTATION_ROUTES: list[BaseRouteHandler] = [show_document, show_page, show_style]
