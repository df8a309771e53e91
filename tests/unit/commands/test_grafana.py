"""The dashboard, as Grafana's own library for Python reads and writes it."""

import json
from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel
from grafana_foundation_sdk.models.prometheus import Dataquery

from tokenmill.commands.grafana import dashboard


def loaded(drawn: dict[str, Any]) -> Dashboard:
    register_default_plugins()
    return Dashboard.from_json(drawn)


def lost(drawn: Any, written: Any, place: str = "") -> Iterator[str]:
    """Places of what was drawn that are not written, or not as they were."""
    if isinstance(drawn, dict) and isinstance(written, dict):
        for name, value in drawn.items():
            yield from lost(value, written.get(name), f"{place}/{name}")
    elif isinstance(drawn, list) and isinstance(written, list) and len(drawn) == len(written):
        for number, pair in enumerate(zip(drawn, written, strict=True)):
            yield from lost(*pair, f"{place}/{number}")
    elif drawn != written:
        yield place


def test_grafanas_library_knows_every_field_of_it() -> None:
    drawn = dashboard()
    written = json.loads(json.dumps(loaded(drawn), cls=JSONEncoder))
    assert [*lost(drawn, written)] == []


def test_a_field_that_it_does_not_know_is_found() -> None:
    drawn = dashboard()
    target = drawn["panels"][1]["targets"][0]
    target["legendformat"] = target.pop("legendFormat")
    written = json.loads(json.dumps(loaded(drawn), cls=JSONEncoder))
    assert [*lost(drawn, written)] == ["/panels/1/targets/0/legendformat"]


def test_every_query_is_one_of_prometheus() -> None:
    panels = [panel for panel in loaded(dashboard()).panels or () if isinstance(panel, Panel)]
    queries = [query for panel in panels for query in panel.targets or ()]
    assert len(queries) > 40
    assert {type(query) for query in queries} == {Dataquery}
    assert all(panel.targets for panel in panels)
