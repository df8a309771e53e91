"""The table of engines as people see it."""

import pytest

from tokenmill.engines.shown import MODELS_MAX, print_engines, shown_models
from tokenmill.engines.views import EngineView


def engine(**fields: object) -> EngineView:
    given = {
        "name": "vllm-8000",
        "url": "http://127.0.0.1:8000",
        "kind": "vllm",
        "state": "serving",
        "version": "0.32.0",
        "models": ("tiny-chat",),
        "account": "",
        "detail": "",
        "origin": "found",
        "in_flight": 0,
    }
    return EngineView(**(given | fields))  # type: ignore[arg-type]


def test_a_line_says_what_serves_what_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    print_engines([engine(account="acme")])
    line, below = capsys.readouterr().out.splitlines()[1:]
    assert line.split() == ["vllm-8000", "serving", "vllm", "0.32.0", "tiny-chat", "acme"]
    assert below.split() == ["127.0.0.1:8000"]


@pytest.mark.parametrize("name", ["127.0.0.1:18801", "third"])
def test_models_have_room_whatever_engines_are_called(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = {"kind": "embedded", "is_draining": True, "models": ("all-MiniLM-L6-v2",)}
    print_engines([engine(name=name, url="http://127.0.0.1:18801", **fields)])
    head, line, *below = capsys.readouterr().out.splitlines()
    assert head.split() == ["engine", "state", "kind", "models", "account"]
    assert "draining, 0 left" in line and " all-MiniLM-L6-v2 " in line
    assert [each.split() for each in below] == [["127.0.0.1:18801"]] * (name == "third")


def test_an_engine_that_does_not_serve_says_why() -> None:
    assert shown_models(engine(state="gone", detail="Connection refused")) == "Connection refused"
    assert shown_models(engine(state="loading")) == "-"


def test_many_adapters_are_counted() -> None:
    names = tuple(f"adapter-{number}" for number in range(MODELS_MAX + 3))
    shown = shown_models(engine(models=names)).splitlines()
    assert (len(shown), shown[-1]) == (MODELS_MAX + 1, "and 3 more")


def test_names_of_models_are_never_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_engines([engine(models=("[red]x[/red]",))])
    assert "[red]x[/red]" in capsys.readouterr().out


def test_no_engine_at_all_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    print_engines([])
    assert "--engine URL" in capsys.readouterr().out
