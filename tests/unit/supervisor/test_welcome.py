"""What people are shown when a house serves."""

import shlex

from tokenmill.engines.recognition import EngineKind
from tokenmill.models.fleet import Engine, Fleet, Route
from tokenmill.supervisor.welcome import curl_lines, models_by_engine


def engine(slot: int, kind: EngineKind, url: str) -> Engine:
    return Engine(slot=slot, name="e", url=url, kind=kind, state="serving", version="1.2")


def route(name: str, pool: int) -> Route:
    return Route(id=name, task="generate", pool=pool, engine_model=name, created=1, owned_by="vllm")


def test_each_model_is_shown_with_the_engines_behind_it() -> None:
    fleet = Fleet(
        engines=(
            engine(3, "embedded", "http://127.0.0.1:1"),
            engine(5, "vllm", "http://10.0.0.5:8000"),
        ),
        pools=((3,), (5, 3)),
        routes=(route("small", 0), route("large", 1)),
    )
    assert models_by_engine(fleet) == [
        ("small", "embedded 1.2"),
        ("large", "vllm 1.2 at http://10.0.0.5:8000, embedded 1.2"),
    ]


def test_the_curl_line_is_one_command_to_a_shell_and_fits_a_narrow_terminal() -> None:
    lines = curl_lines("http://127.0.0.1:8080", "pk_live_" + "a" * 42)
    words = shlex.split(lines.replace("\\\n", ""))
    assert words[:2] == ["curl", "http://127.0.0.1:8080/v1/chat/completions"]
    assert words[-1].startswith('{"model": "auto"')
    assert "Authorization: Bearer pk_live_" + "a" * 42 in words
    # A line that the terminal breaks may be pasted with the break in it.
    assert max(map(len, lines.splitlines())) < 80
