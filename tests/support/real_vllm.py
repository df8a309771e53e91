"""A real vLLM for tests, on the CPU: its command line, its life on a loopback port, its end.

TOKENMILL_TEST_VLLM_VENV names a virtual environment with vLLM, TOKENMILL_TEST_VLLM_MODELS a folder
with `tiny-chat` (a Llama of two layers that knows some sentences by heart), its adapters
`lora-alpha` and `lora-bravo`, and `minilm`. TOKENMILL_TEST_VLLM_URL names a server of tiny-chat
that runs already; tests that start or kill a server need the other two.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.house import House, run_house, scratch_folder
from tests.support.ports import fresh_port
from tests.support.services import require
from tests.support.waiting import eventually

VLLM_VERSION = "0.32.0"
"""The one that the README says was tried."""
UP_S_MAX = 240.0  # 15 s on an idle machine; tests of others may run beside it
END_S_MAX = 20.0
ADVICE = (
    "set TOKENMILL_TEST_VLLM_VENV to a virtual environment with vLLM, and"
    " TOKENMILL_TEST_VLLM_MODELS to a folder with the models tiny-chat and minilm"
)

ENVIRONMENT = {
    # Without this the processes of a server talk over the machine's own address.
    "VLLM_HOST_IP": "127.0.0.1",
    # The engine process runs the model itself. vLLM's default for CPUs gives it to a third process
    # and polls for the results; that loop starves the thread that sends tokens, and whole answers
    # arrive in one lump.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "OMP_NUM_THREADS": "1",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    # Nothing is fetched, nothing is reported.
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}

SHARED_ARGUMENTS = (
    "--max-num-seqs=16",
    "--distributed-executor-backend=uni",
    "--enforce-eager",  # a model this small gains nothing by a compiler
    "--kv-cache-memory-bytes=134217728",
)
CHAT_ARGUMENTS = (
    *SHARED_ARGUMENTS,
    "--dtype=bfloat16",
    "--max-model-len=2048",
    *("--enable-lora", "--max-loras=2", "--max-lora-rank=64"),
    *("--enable-auto-tool-choice", "--tool-call-parser=hermes"),
    *("--enable-prefix-caching", "--enable-prompt-tokens-details"),
)
EMBED_ARGUMENTS = (*SHARED_ARGUMENTS, "--dtype=float32", "--runner=pooling")


def vllm_command() -> Path:
    """The `vllm` of the named virtual environment; without one the test is skipped."""
    venv = os.environ.get("TOKENMILL_TEST_VLLM_VENV")
    if not venv:
        require("vllm", ADVICE)
    return Path(venv) / "bin" / "vllm"


def model_folder(name: str) -> Path:
    """The folder of a model; without it the test is skipped."""
    models = os.environ.get("TOKENMILL_TEST_VLLM_MODELS")
    folder = Path(models or "nowhere") / name
    if not (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file():
        require("vllm", f"{ADVICE}; {name} is not there")
    return folder


class RealVllm:
    """A vLLM that was started. Its group holds its engine process, which outlives a SIGKILL."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = log

    def answers(self) -> bool:
        """Whether it lists its models. Fails the test if it has ended."""
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-4_000:]
        return answers(self.url)

    def wait_up(self) -> None:
        """Returns when it answers."""
        eventually(self.answers, "vLLM answers", within_s=UP_S_MAX)

    def signal_all(self, number: signal.Signals) -> None:
        """Sends a signal to all its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def answers(url: str) -> bool:
    """Whether an engine at `url` lists its models."""
    try:
        return httpx.get(f"{url}/v1/models", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def start_vllm(folder: Path, model: str = "tiny-chat", port: int = 0) -> Iterator[RealVllm]:
    """A vLLM on its way up; `folder` is for its log. All its processes are ended afterwards."""
    command, weights = vllm_command(), model_folder(model)
    port = port or fresh_port()
    arguments = EMBED_ARGUMENTS if model == "minilm" else CHAT_ARGUMENTS
    log = folder / f"vllm-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(command, "serve", weights, "--served-model-name", model),
                *("--host", "127.0.0.1", "--port", str(port)),
                *arguments,
            ],
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    server = RealVllm(process, port, log)
    try:
        yield server
    except BaseException:
        sys.stderr.write(log.read_text(errors="replace")[-4_000:])
        raise
    finally:
        _end(server)


def _end(server: RealVllm) -> None:
    server.signal_all(signal.SIGCONT)
    server.process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.process.wait(timeout=END_S_MAX)
    server.signal_all(signal.SIGKILL)
    server.process.wait()


@contextlib.contextmanager
def loaded_adapter(url: str, name: str) -> Iterator[None]:
    """An adapter that is loaded for the length of a block."""
    fields = {"lora_name": name, "lora_path": str(model_folder(name))}
    answer = httpx.post(f"{url}/v1/load_lora_adapter", json=fields, timeout=30)
    assert answer.status_code == 200, answer.text
    try:
        yield
    finally:
        httpx.post(f"{url}/v1/unload_lora_adapter", json=fields, timeout=30)


_running = contextlib.ExitStack()


SHARED = "real_vllm"
"""In the names of all tests that share these servers, or of their files."""


def come_first(items: list[pytest.Item]) -> None:
    """Tests that share these servers come first and one after the other: a server takes half a
    minute of a core to come up, and some of it while it is idle."""
    items.sort(key=lambda item: SHARED not in item.nodeid)


def end_after_last_use(item: pytest.Item, next_item: pytest.Item | None) -> None:
    """The servers end once nobody wants them."""
    if SHARED in item.nodeid and (next_item is None or SHARED not in next_item.nodeid):
        _running.close()


def _check_name(request: pytest.FixtureRequest) -> None:
    name = request.node.nodeid
    assert SHARED in name, f"{name} wants a shared vLLM after their end: put {SHARED} in its name"


@pytest.fixture(scope="session")
def vllm_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """URLs by model: tiny-chat and minilm, which come up side by side."""
    folder = tmp_path_factory.mktemp("vllm")
    urls = {"tiny-chat": os.environ.get("TOKENMILL_TEST_VLLM_URL", "").rstrip("/")}
    missing = [model for model in ("tiny-chat", "minilm") if not urls.get(model)]
    if urls["tiny-chat"] and not os.environ.get("TOKENMILL_TEST_VLLM_VENV"):
        missing = []
    with _running as running:
        started = {model: running.enter_context(start_vllm(folder, model)) for model in missing}
        for server in started.values():
            server.wait_up()
        yield urls | {model: server.url for model, server in started.items()}


@pytest.fixture
def chat_vllm(request: pytest.FixtureRequest, vllm_servers: dict[str, str]) -> str:
    """The URL of a vLLM that serves tiny-chat, for tests that leave it as it is."""
    _check_name(request)
    return vllm_servers["tiny-chat"]


@pytest.fixture
def embed_vllm(request: pytest.FixtureRequest, vllm_servers: dict[str, str]) -> str:
    """The URL of a vLLM that serves an embedding model."""
    _check_name(request)
    return _embedding_server(vllm_servers)


def _embedding_server(servers: dict[str, str]) -> str:
    if "minilm" not in servers:
        require("vllm", ADVICE)
    return servers["minilm"]


@pytest.fixture(scope="session")
def shared_vllm_house(vllm_servers: dict[str, str]) -> Iterator[House]:
    """A house without an engine of its own that has found both servers on their ports."""
    urls = (vllm_servers["tiny-chat"], _embedding_server(vllm_servers))
    ports = ",".join(str(urlsplit(url).port) for url in urls)
    environment = {"TOKENMILL_DISCOVERY_ENABLED": "true", "TOKENMILL_DISCOVERY_PORTS": ports}
    with _running as running:
        folder = running.enter_context(scratch_folder())
        yield running.enter_context(run_house(folder, command="serve", environment=environment))


@pytest.fixture
def vllm_house(request: pytest.FixtureRequest, shared_vllm_house: House) -> House:
    """A house before the shared servers."""
    _check_name(request)
    return shared_vllm_house
