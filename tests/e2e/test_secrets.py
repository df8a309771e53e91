"""No key is found where it does not belong: a whole house at its most talkative, then a search.

Every way to send a key is used, good and bad ones, in places where they belong and where they do
not; then all logs, metrics, answers, files and process titles are searched for each of them.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.chat import PATH, body
from tests.support.house import House, arguments_of, house_command, house_environment, run_house
from tests.support.paced_engine import PacedEngine, paced_engine
from tests.support.ports import fresh_port
from tests.support.waiting import eventually
from tokenmill.keys.rules import make_secret

UNKNOWN = make_secret("q" * 36)
JUNK = "pk_live_junk-that-is-no-key-0123456789"
ENGINE_KEY = "engine-key-that-nobody-may-see"
"""What the house itself sends to its engine."""


@pytest.fixture(scope="module")
def engine() -> Iterator[PacedEngine]:
    with paced_engine() as running:
        yield running


def ask_in_every_way(house: House, secret: str) -> list[httpx.Response]:
    """Answers to requests that hold the secret somewhere."""
    url, bearer = house.url, {"authorization": f"Bearer {secret}"}
    answers = []
    with httpx.Client(base_url=url, timeout=30) as client:
        for headers in (bearer, {"authorization": secret}, {"authorization": f"Basic {secret}"}):
            answers.append(client.post(PATH, json=body(2), headers=headers))
            answers.append(client.get("/v1/models", headers=headers))
        for path in (PATH, "/v1/completions", "/v1/embeddings", "/v1/nope", "/openapi.json"):
            answers.append(client.post(f"{path}?api_key={secret}", json=body(2)))
            answers.append(client.get(f"{path}?api_key={secret}&api_key=x"))
        stream = body(2, stream=True)
        answers.append(client.post(f"{PATH}?api_key={secret}", json=stream))
        # Broken bodies, and a key in a field that is refused, in a header, in an id, in a path.
        answers.append(client.post(PATH, content=b'{"messages":', headers=bearer))
        answers.append(client.post(PATH, json=body() | {"temperature": 9}, headers=bearer))
        answers.append(client.post(PATH, json=body() | {"model": "none"}, headers=bearer))
        answers.append(client.post(PATH, json=body(2), headers=bearer | {"x-a": secret}))
        answers.append(client.get("/health", headers=bearer))
        answers.append(client.get("/docs", headers=bearer))
    return answers


def texts_of(house: House, metrics_url: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    """(where, what) of all that a house leaves behind, but for the file of its local key."""
    yield "log", house.log.read_bytes()
    yield "metrics", httpx.get(metrics_url, timeout=10).content
    for member in house.family():
        yield f"title of {member}", b" ".join(arguments_of(member))
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "local_key":
            # A house at work makes files and takes them away again.
            with contextlib.suppress(FileNotFoundError):
                yield str(path), path.read_bytes()


@pytest.mark.timeout(180)
def test_a_key_is_nowhere_but_where_it_belongs(folder: Path, engine: PacedEngine) -> None:
    port = fresh_port()
    settings = folder / "settings.toml"
    table = f'[[engines]]\nurl = "{engine.url}"\napi_key = "{ENGINE_KEY}"\n'
    settings.write_text(table)
    settings.chmod(0o600)
    environment = {"TOKENMILL_LOG_LEVEL": "debug", "TOKENMILL_METRICS_PORT": str(port)}
    with run_house(
        folder, "--config", str(settings), environment=environment, command="serve"
    ) as house:
        made = run(house, "keys", "create", "--json", "--name", "one")
        rotated = json.loads(made)["secret"]
        secrets = {"local": house.key, "made": rotated, "unknown": UNKNOWN, "junk": JUNK}
        for secret in secrets.values():
            for answer in ask_in_every_way(house, secret):
                shown = answer.content + str(answer.headers).encode()
                assert secret.encode() not in shown, answer.request.url
        house.kill_child("gateway.worker")  # what is written at a death
        with house.client() as client:
            eventually(lambda: client.get("/v1/models").status_code == 200, "it is back")
        settings.unlink()
        found = [
            f"{name} key in {where}"
            for where, text in texts_of(house, f"http://127.0.0.1:{port}/metrics", folder)
            for name, secret in {**secrets, "engine": ENGINE_KEY}.items()
            if secret.encode() in text and not is_home(name, where)
        ]
        assert found == []
        assert house.key.encode() in (house.state / "local_key").read_bytes()  # it can be found
        assert b'"answered"' in house.log.read_bytes(), "the log is not at its most talkative"


def is_home(name: str, where: str) -> bool:
    """The workers need the engine's key: it is in the fleet's file, for this user alone."""
    is_fleet = "fleet" in Path(where).name
    return name == "engine" and is_fleet and Path(where).stat().st_mode & 0o077 == 0


def run(house: House, *words: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        [*house_command(*words), "--state", str(house.state)],
        env=house_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout
