"""A route's terms, as the protocol's pure functions take them."""

from tokenmill.models.fleet import Route
from tokenmill.protocol.shaping import RouteTerms


def terms_of(route: Route) -> RouteTerms:
    """Model, defaults and ranges of `route`."""
    return RouteTerms(
        engine_model=route.engine_model,
        is_factory=route.kind == "factory",
        context_tokens_max=route.context_tokens_max,
    )
