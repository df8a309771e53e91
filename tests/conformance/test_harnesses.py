"""Harnesses that send load and nonsense, in small: each must end well and find nothing wrong."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.test_money import ask, billed
from tests.support.clients import client_environment, client_python
from tests.support.house import House
from tests.support.real_vllm import ENVIRONMENT as VLLM_ENVIRONMENT
from tests.support.real_vllm import VLLM_VERSION, model_folder, vllm_command
from tests.support.waiting import eventually

CLIENTS = Path(__file__).parent / "clients"
DEMO = Path(__file__).parents[2] / "python/tokenmill/engines/embedded/demo"
REQUESTS = 24
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
            *("--max-examples", "5", "--seed", "1"),
            *("--continue-on-failure", "--request-timeout", "60"),
        ],
        tmp_path,
        SCHEMATHESIS_HOOKS="short_answers",
    )
    count = re.search(r"(\d+) generated", said)
    assert count, said
    assert int(count[1]) > 100
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


def run_vllm_bench(house: House, model: str, tokenizer: Path, folder: Path, *more: str) -> None:
    """`vllm bench serve` with an account of its own: its totals are what that account used."""
    command = vllm_command()
    packages = command.parents[1].glob("lib/python*/site-packages/vllm*-*.dist-info")
    assert all(f"-{VLLM_VERSION}" in package.name for package in packages)
    account = f"bench-{model}"
    ask(house, "accounts", "create", account, "--tier", "internal")
    ask(house, "wallet", "add", account, "10", "--reference", "bench")
    made = ask(house, "keys", "create", "--account", account, "--name", "bench")
    run(
        [
            *(str(command), "bench", "serve", "--backend", "openai-chat"),
            *("--base-url", house.url, "--endpoint", "/v1/chat/completions"),
            *("--model", model, "--tokenizer", str(tokenizer), "--dataset-name", "random"),
            *("--random-input-len", "24", "--random-output-len", "12"),
            *("--num-prompts", str(REQUESTS), "--max-concurrency", "8"),
            *("--save-result", "--result-dir", str(folder), "--result-filename", "result.json"),
            *more,
        ],
        folder,
        OPENAI_API_KEY=made["secret"],
        **VLLM_ENVIRONMENT,
    )
    result = json.loads((folder / "result.json").read_text())
    assert (result["completed"], result["failed"]) == (REQUESTS, 0)
    eventually(lambda: billed(house, account)["requests"] == REQUESTS, "all are billed")
    found = billed(house, account)
    assert found["prompt_tokens"] == result["total_input_tokens"] > 24 * REQUESTS
    assert found["completion_tokens"] == result["total_output_tokens"] > 0


@pytest.mark.vllm
def test_vllm_bench_counts_what_we_bill_of_a_real_vllm(vllm_house: House, tmp_path: Path) -> None:
    folder = model_folder("tiny-chat")
    run_vllm_bench(vllm_house, "tiny-chat", folder, tmp_path, "--ignore-eos")
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["total_output_tokens"] == 12 * REQUESTS


@pytest.mark.vllm
def test_vllm_bench_counts_what_we_bill_of_the_embedded_engine(
    house: House, tmp_path: Path
) -> None:
    run_vllm_bench(house, "tokenmill-demo", DEMO, tmp_path)
