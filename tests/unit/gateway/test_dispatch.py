"""Which paths are answered here, which are nothing, and which are control's."""

import pytest

from tokenmill.gateway.app import find_endpoint


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/chat/completions", "chat_completions"),
        ("/chat/completions/", "chat_completions"),
        ("/completions", "completions"),
        ("/embeddings", "embeddings"),
        ("/models", "models"),
        ("/models/", "models"),
        ("/models/meta-llama/Llama-3.1-8B-Instruct", "models"),
        ("/health", "health"),
        ("/livez", "health"),
    ],
)
@pytest.mark.parametrize("prefix", ["/v1", "/api/v1"])
def test_both_prefixes_are_the_same_routes(prefix: str, path: str, name: str) -> None:
    endpoint = find_endpoint(prefix + path)
    assert endpoint is not None
    assert endpoint.name == name


@pytest.mark.parametrize("path", ["/health", "/livez"])
def test_health_is_at_the_root_too(path: str) -> None:
    endpoint = find_endpoint(path)
    assert endpoint is not None
    assert endpoint.name == "health"


@pytest.mark.parametrize("path", ["/v1/", "/v1/nope", "/api/v1/chat", "/v1/modelsx", "/v1/Models"])
def test_other_paths_under_a_prefix_are_nothing(path: str) -> None:
    assert find_endpoint(path) is None


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/v1x", "/v2/models", "/models"])
def test_everything_else_is_controls(path: str) -> None:
    endpoint = find_endpoint(path)
    assert endpoint is not None
    assert endpoint.name == "control"
