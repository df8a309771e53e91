"""Clients that others wrote, in environments of their own, against a house: a row a client.

Their checks are in `clients/`, in their own languages. Each runs against the embedded engine with
the demo model, and where exact answers matter against a real vLLM too.
"""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.clients import (
    NODE_MANIFEST,
    client_environment,
    client_python,
    locked_versions,
    node_folder,
    openai_suite,
)
from tests.support.house import House
from tests.support.real_vllm import VLLM_VERSION

CLIENTS = Path(__file__).parent / "clients"
README = Path(__file__).parents[2] / "README.md"
CHECKS_S_MAX = 600
INSTALL_AND_RUN_S_MAX = 1_500

DEMO = {
    "CLIENT_MODEL": "tokenmill-demo",
    "CLIENT_EMBEDDINGS": "text-embedding-ada-002",
    "CLIENT_WEATHER_QUESTION": "What's the weather in Paris?",
    "CLIENT_WEATHER_ARGUMENT": "location",
    "CLIENT_PERSON_QUESTION": "Extract the person's name and age from: John Smith is 35 years old",
    "CLIENT_PERSON_NAME": "John Smith",
    "CLIENT_PERSON_AGE": "35",
}
TINY_CHAT = {
    "CLIENT_MODEL": "tiny-chat",
    "CLIENT_EMBEDDINGS": "minilm",
    "CLIENT_WEATHER_QUESTION": "What is the weather in Paris?",
    "CLIENT_WEATHER_ARGUMENT": "city",
    "CLIENT_PERSON_QUESTION": "Describe Ada as JSON.",
    "CLIENT_PERSON_NAME": "Ada",
    "CLIENT_PERSON_AGE": "36",
}
"""What the two models know by heart."""


@dataclass(frozen=True)
class Client:
    """A client: the environment it lives in, its checks, what they print when all went well."""

    environment: str
    checks: str
    prints: str = r"\d+ passed"
    knows_tiny_chat: bool = True


CASES = {
    "openai-python": Client("openai3", "openai_checks.py"),
    "openai-python's own suite": Client("openai3", "openai_suite.py", r"1\d\d passed", False),
    "langchain-openai": Client("openai3", "langchain_checks.py", r"[3-9]\d passed", False),
    "pydantic-ai": Client("openai3", "pydantic_ai_checks.py"),
    "instructor": Client("openai2", "instructor_checks.py", knows_tiny_chat=False),
    "litellm": Client("openai2", "litellm_checks.py"),
    "llama-index": Client("openai2", "llama_index_checks.py"),
    "openai-node": Client("node", "openai.checks.mjs", r"# fail 0"),
    "vercel ai": Client("node", "vercel_ai.checks.mjs", r"# fail 0"),
    "curl": Client("", "curl.checks.sh", r"^ok$"),
}
SUITE = [
    "tests/api_resources/chat/test_completions.py",
    *(f"tests/api_resources/test_{part}.py" for part in ("completions", "embeddings", "models")),
]


def command_of(client: Client, folder: Path) -> tuple[list[str], Path]:
    """The command that runs the checks, and the folder that it runs in."""
    if client.environment == "node":
        place = node_folder(folder)
        for script in CLIENTS.glob("*.mjs"):
            (place / script.name).write_text(script.read_text())
        return ["node", "--test", "--test-reporter=tap", client.checks], place
    if client.environment == "":
        return ["bash", client.checks], CLIENTS
    pytest_of_client = [str(client_python(client.environment)), "-m", "pytest"]
    if client.checks == "openai_suite.py":
        options = ["-p", "openai_suite", "-p", "no:cacheprovider", "-o", "addopts=", "-q"]
        return [*pytest_of_client, *options, *SUITE], openai_suite()
    return [*pytest_of_client, "-c", "pytest.ini", client.checks], CLIENTS


def run_checks(client: Client, house: House, knows: dict[str, str], folder: Path) -> None:
    command, place = command_of(client, folder)
    base_url = f"{house.url}/v1"
    done = subprocess.run(
        command,
        cwd=place,
        env={
            **client_environment(),
            **knows,
            "OPENAI_BASE_URL": base_url,
            "TEST_API_BASE_URL": base_url,
            "OPENAI_API_KEY": house.key,
            "PYTHONPATH": str(CLIENTS),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would fetch its table of prices
        },
        capture_output=True,
        text=True,
        timeout=CHECKS_S_MAX,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert re.search(client.prints, done.stdout, re.MULTILINE), done.stdout[-2000:]


@pytest.mark.timeout(INSTALL_AND_RUN_S_MAX)
@pytest.mark.parametrize("name", CASES)
def test_client_works_with_the_embedded_engine(name: str, house: House, tmp_path: Path) -> None:
    run_checks(CASES[name], house, DEMO, tmp_path)


@pytest.mark.vllm
@pytest.mark.timeout(INSTALL_AND_RUN_S_MAX)
@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].knows_tiny_chat])
def test_client_works_with_a_real_vllm(name: str, vllm_house: House, tmp_path: Path) -> None:
    run_checks(CASES[name], vllm_house, TINY_CHAT, tmp_path)


def test_every_file_of_checks_is_run() -> None:
    files = {path.name for path in CLIENTS.iterdir() if "checks" in path.name}
    assert files <= {client.checks for client in CASES.values()}


def test_the_readme_names_the_versions_that_are_pinned() -> None:
    table = README.read_text().partition("<!-- clients -->")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:4] for line in table.strip().splitlines()[2:]]
    for name, version, what in rows:
        package = re.findall("`(.*?)`", name)[0]
        if package == "vllm bench serve":
            assert version.strip() == VLLM_VERSION
            continue  # it comes with the engine, whose version no lock of ours holds
        assert version.strip() == pinned_version(package, name), name
        for other, stated in re.findall(r"`([a-z-]+)` (\d[\d.]+)", what):
            assert stated == pinned_version(other, name), other
    assert len(rows) > 10


def pinned_version(package: str, row: str) -> str:
    """The version of a package in the lock that holds it; OpenAI's Python client is in two."""
    if "Node.js" in row or "Vercel" in row:
        found: str = json.loads((NODE_MANIFEST / "package.json").read_text())["dependencies"][
            package
        ]
        return found
    wanted = "openai" if package == "tests/api_resources" else package
    locks = map(locked_versions, ("openai3", "openai2", "http"))
    return next(lock[wanted] for lock in locks if wanted in lock)
