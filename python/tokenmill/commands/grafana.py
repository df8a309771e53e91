"""The Grafana dashboard of a house: panels in their places, as the JSON Grafana loads. Pure."""

from typing import Any

from tokenmill.commands.grafana_panels import ROWS, Panel, chosen

Json = dict[str, Any]

UID = "tokenmill-house"
SCHEMA_VERSION = 39
"""Of Grafana 10.4; newer ones bring it up to date themselves."""

_COLUMNS, _HEIGHT = 24, 8
_SOURCE: Json = {"type": "prometheus", "uid": "${source}"}


def dashboard() -> Json:
    """What Grafana imports, as JSON's values."""
    return {
        "uid": UID,
        "title": "tokenmill",
        "tags": ["tokenmill", "llm"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": _placed(),
    }


_VARIABLES = (
    ("instance", "tokenmill_info", "instance"),
    ("engine", f"tokenmill_engine_up{chosen()}", "engine"),
)


def _variables() -> list[Json]:
    source: Json = {
        "name": "source",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
    }
    return [source, *(_variable(*each) for each in _VARIABLES)]


def _variable(name: str, metric: str, label: str) -> Json:
    query = f"label_values({metric}, {label})"
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "sort": 1,
        "hide": 0,
    }


def _placed() -> list[Json]:
    """Rows and panels with a place and a number each."""
    placed: list[Json] = []
    top = 0
    for row in ROWS:
        heading = {"type": "row", "title": row.title, "collapsed": False, "panels": []}
        placed.append(heading | _place(len(placed) + 1, 0, top, _COLUMNS, 1))
        top, left = top + 1, 0
        for panel in row.panels:
            if left + panel.width > _COLUMNS:
                top, left = top + _HEIGHT, 0
            place = _place(len(placed) + 1, left, top, panel.width, _HEIGHT)
            placed.append(_panel(panel) | place)
            left += panel.width
        top += _HEIGHT
    return placed


def _place(number: int, left: int, top: int, width: int, height: int) -> Json:
    return {"id": number, "gridPos": {"x": left, "y": top, "w": width, "h": height}}


def _panel(panel: Panel) -> Json:
    stacking = {"mode": "normal" if panel.is_stacked else "none"}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    custom = {"fillOpacity": 10, "showPoints": "never", "stacking": stacking}
    if panel.kind != "timeseries":
        custom = {"fillOpacity": 70}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": custom}, "overrides": []},
        "options": {"legend": legend},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
                "range": True,
            }
            for number, query in enumerate(panel.queries)
        ],
    }
