"""Cross-origin requests, by setting: which pages' scripts may call the API.

Off unless origins are named. `*` allows every page; keys travel in a header and never in cookies,
so no credentials are allowed with it.
"""

from tokenmill.inference.exchange import Exchange, Headers

_EXPOSED = (
    b"x-request-id, server-timing, retry-after, retry-after-ms, x-should-retry, "
    b"x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset"
)
_HEADERS_ALLOWED = b"authorization, content-type, x-request-id"
_SECONDS_CACHED = b"600"


class Cors:
    """The setting, made ready for comparing."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.rstrip("/").encode() for origin in origins)
        self.is_on = bool(origins)

    def headers(self, exchange: Exchange) -> Headers:
        """The headers that let the calling page read the answer; none, if it may not."""
        origin = exchange.headers.get(b"origin")
        varies = [] if self._any else [(b"vary", b"origin")]
        if origin is None or not (self._any or origin in self._origins):
            return varies
        allowed = b"*" if self._any else origin
        return [
            (b"access-control-allow-origin", allowed),
            (b"access-control-expose-headers", _EXPOSED),
            *varies,
        ]

    def preflight(self, exchange: Exchange, methods: bytes) -> Headers:
        """The further headers of an answer to a browser's question beforehand."""
        if b"access-control-request-method" not in exchange.headers or not self.is_on:
            return []
        wanted = exchange.headers.get(b"access-control-request-headers", _HEADERS_ALLOWED)
        return [
            (b"access-control-allow-methods", methods),
            (b"access-control-allow-headers", wanted),
            (b"access-control-max-age", _SECONDS_CACHED),
        ]
