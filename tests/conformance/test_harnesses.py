"""Harnesses that send load and nonsense, in small: each must end well and find nothing wrong."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.clients import client_environment, client_python
from tests.support.house import House

CLIENTS = Path(__file__).parent / "clients"
RUN_S_MAX = 600
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
pytestmark = pytest.mark.timeout(1_500)  # the first run installs them


def run(command: list[str], folder: Path, **environment: str) -> str:
    """What the command printed; it must end with status 0."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**client_environment(), "PYTHONPATH": str(CLIENTS), "PYTHONDONTWRITEBYTECODE": "1"}
        | environment,
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-8_000:]
    return done.stdout + done.stderr


def test_schemathesis_finds_no_case_that_the_document_does_not_tell(
    house: House, tmp_path: Path
) -> None:
    """Not checked: that all the schema allows is accepted, for rules between fields are not in it;
    and times. The phase `coverage` dies in Python 3.11's parser now and then, so it is for runs by
    hand. The pages of control stand outside of the prefix, which schemathesis cannot know."""
    said = run(
        [
            *(str(client_python("http").parent / "st"), "run", f"{house.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {house.key}"),
            *("--phases", "examples,fuzzing,stateful", "--mode", "all"),
            *("--checks", ",".join(CHECKS)),
            *("--exclude-path", "/docs", "--exclude-path", "/openapi.json"),
            *("--max-examples", "20", "--seed", "1", "--max-time", "40"),
            *("--continue-on-failure", "--request-timeout", "60"),
        ],
        tmp_path,
        SCHEMATHESIS_HOOKS="short_answers",
    )
    count = re.search(r"(\d+) generated", said)
    assert count, said
    assert int(count[1]) > 20
    with house.client() as client:
        asked = {"messages": [{"role": "user", "content": "Hello!"}]}
        assert client.post("/v1/chat/completions", json=asked).status_code == 200


def test_locust_sends_chats_streams_and_embeddings(house: House, tmp_path: Path) -> None:
    run(
        [
            *(str(client_python("http").parent / "locust"), "-f", str(CLIENTS / "locustfile.py")),
            *("--headless", "--users", "4", "--spawn-rate", "4", "--run-time", "5s"),
            *("--stop-timeout", "120"),  # a round that began is ended
            *("--host", house.url, "--json-file", "figures", "--only-summary"),
        ],
        tmp_path,
        OPENAI_API_KEY=house.key,
    )
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {each["name"] for each in figures} == {"chat", "stream", "embeddings"}
    assert all(each["num_failures"] == 0 < each["num_requests"] for each in figures)
