"""What a real house tells Prometheus, and the dashboard that is drawn of it."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import promql_parser
from prometheus_client.parser import text_string_to_metric_families

from tests.support.chat import PATH, body
from tests.support.house import House, house_command, house_environment, run_house
from tests.support.paced_engine import PacedEngine
from tests.support.ports import fresh_port
from tests.support.waiting import eventually

OF_PROMETHEUS = {"instance", "job", "le"}
"""Labels that Prometheus gives to what it scrapes, and those of a histogram's buckets."""


def scrape(port: int) -> dict[str, list[dict[str, str]]]:
    """Names of samples, and the labels and values that there are of each."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels | {"": str(sample.value)}
            found.setdefault(sample.name, []).append(labels)
    return found


def test_a_dashboard_asks_only_for_what_a_house_tells(folder: Path, engine: PacedEngine) -> None:
    port = fresh_port()
    environment = {"TOKENMILL_METRICS_PORT": str(port)}
    flags = ("--engine", engine.url)
    with run_house(folder, *flags, command="serve", environment=environment) as house:
        with house.client() as client:
            assert client.post(PATH, json=body(2) | {"stream": True}).is_success
        told = eventually(lambda: settled(port), "the request is in the ledger and the load seen")
        check_one_request(house, told, engine)
    drawn = dashboard()
    asked = 0
    for expression, wanted in expressions(drawn):
        metrics, labels = metrics_and_labels(in_prometheus(expression))
        asked += len(metrics)
        for metric in metrics:
            assert metric in told, f"{metric} is not told: {expression}"
            known = set(told[metric][0]) | OF_PROMETHEUS
            assert labels | wanted <= known, f"{labels | wanted} of {metric}"
    assert asked > 40


def settled(port: int) -> dict[str, list[dict[str, str]]] | None:
    try:
        told = scrape(port)
    except httpx.TransportError:
        return None  # the listener is the last thing that control opens
    is_billed = any(billed_dollars(told).values())  # a cell may be the account's first credit
    is_seen = "tokenmill_engine_kv_cache_usage_ratio" in told
    return told if is_billed and is_seen else None


def billed_dollars(told: dict[str, list[dict[str, str]]]) -> dict[str, float]:
    return {each["class"]: float(each[""]) for each in told["tokenmill_billed_dollars_total"]}


def check_one_request(
    house: House, told: dict[str, list[dict[str, str]]], engine: PacedEngine
) -> None:
    name = engine.url.removeprefix("http://")
    [requests] = told["tokenmill_engine_requests_total"]
    assert (requests["engine"], requests[""]) == (name, "1.0")
    outcomes = {each["outcome"]: each[""] for each in told["tokenmill_engine_outcomes_total"]}
    assert outcomes["complete"] == "1.0"
    assert sum(map(float, outcomes.values())) == 1
    assert told["tokenmill_engine_first_byte_seconds_count"][0][""] == "1.0"
    standings = told["tokenmill_engine_standing"]
    # On a busy machine the first look may come too late: then it is one that came back.
    stands = [each["standing"] for each in standings if each[""] == "1.0"]
    assert stands in (["serving"], ["warming"])
    assert told["tokenmill_engine_kv_cache_usage_ratio"][0][""] == "0.125"
    [member] = told["tokenmill_pool_engine"]
    assert (member["pool"], member["engine"]) == ("paced-chat", name)
    assert [name for name, dollars in billed_dollars(told).items() if dollars] == ["realtime"]
    assert float(told["tokenmill_ledger_cells_total"][0][""]) > 0
    local = {each[""] for each in told["tokenmill_keys"]}
    assert local == {"1.0"}, house.log


def dashboard() -> Any:
    """What the command prints."""
    printed = subprocess.run(
        house_command("metrics", "grafana"),
        env=house_environment(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    return json.loads(printed.stdout)


def expressions(drawn: Any) -> Iterator[tuple[str, set[str]]]:
    """Every query, and labels that are wanted of it beside those in it."""
    numbers = [panel["id"] for panel in drawn["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in drawn["panels"]:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        for target in panel.get("targets", ()):
            yield target["expr"], set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    for variable in drawn["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]["query"]
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
            assert found is not None, query
            yield found[1], {found[2]}


def in_prometheus(expression: str) -> str:
    """The query with Grafana's variables filled in."""
    return re.sub(r"\$(instance|engine)", ".*", expression).replace("$__rate_interval", "5m")


def metrics_and_labels(expression: str) -> tuple[set[str], set[str]]:
    """Every metric that an expression names, and every label, of selectors and of groups."""
    metrics: set[str] = set()
    labels: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            metrics.add(node.name or "")
            labels.update(matcher.name for matcher in node.matchers.matchers)
        elif isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            labels.update(node.modifier.labels)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return metrics, labels
