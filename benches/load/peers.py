"""How each server of the bench is started, and found to be ready.

All listen on loopback, have one worker unless they say otherwise, no access log, and the same mock
engine behind them. Peers come out of virtual environments of their own, which `install_peers.py`
makes; one that is not there is left out.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

PEERS_FOLDER = Path(os.environ.get("TOKENMILL_BENCH_PEERS", "~/.cache/tokenmill/bench-peers"))
MODEL = "bench-model"
READY_S_MAX = 120.0
_QUESTION = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}
_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 0; client_body_buffer_size 2m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 256; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_buffers 8 64k; proxy_buffer_size 64k;
    }}
  }}
}}
"""
_LITELLM = """
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://127.0.0.1:{engine}/v1
      api_key: none
"""


class Place(Struct, frozen=True):
    """Where a server is to run: its port, the engine's port, an empty folder."""

    port: int
    engine: int
    folder: Path

    @property
    def engine_url(self) -> str:
        """The engine, as most peers are told of it."""
        return f"http://127.0.0.1:{self.engine}"


class Command(Struct, frozen=True):
    """What is run, and what is added to its environment."""

    words: list[str]
    environment: dict[str, str] = {}


class Kind(Struct, frozen=True):
    """A kind of server. `command` is None where it is not installed."""

    name: str
    command: Callable[[Place], Command | None]
    streams: bool = True
    is_slow: bool = False  # takes milliseconds a request: small counts, one start


class Server(Struct):
    """A running server."""

    kind: Kind
    place: Place
    process: subprocess.Popen[bytes]
    start_s: float

    @property
    def bearer(self) -> str:
        """The key to ask with; only the gateway looks at it."""
        key = self.place.folder / "state" / "local_key"
        return key.read_text().strip() if key.exists() else "none"

    def tree(self) -> dict[int, str]:
        """The command lines of this process and all below it, by process id."""
        found: dict[int, str] = {}
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (thread / "children").read_text().split())
            except OSError:
                continue
            found[pid] = words
        return found

    def stop(self) -> None:
        """Ends it and everything it started."""
        tree = self.tree()
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid, words in tree.items():
            if _command_line(pid) == words:
                os.kill(pid, 9)


def _command_line(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() or None
    except OSError:
        return None


def _installed(name: str) -> str | None:
    path = PEERS_FOLDER.expanduser() / name / "bin" / name
    return str(path) if path.exists() else None


def _gateway(workers: int) -> Callable[[Place], Command]:
    def command(place: Place) -> Command:
        start = "import sys; from tokenmill.cli import main; sys.argv[0] = 'tokenmill'; main()"
        words = [sys.executable, "-c", start, "serve", "--port", str(place.port)]
        words += ["--engine", place.engine_url, "--state", str(place.folder / "state")]
        words += ["--workers", str(workers), "--log-level", "warning"]
        quiet = {"TOKENMILL_METRICS_PORT": "0", "TOKENMILL_DISCOVERY_PORTS": str(free_port())}
        return Command(words, quiet)

    return command


def _empty(place: Place) -> Command:
    return Command([sys.executable, str(Path(__file__).with_name("empty_app.py")), str(place.port)])


def _nginx(place: Place) -> Command | None:
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        return None
    file = place.folder / "nginx.conf"
    file.write_text(_NGINX.format(folder=place.folder, engine=place.engine, port=place.port))
    return Command([program, "-c", str(file), "-p", str(place.folder)])


def _vllm_router(place: Place) -> Command | None:
    program = _installed("vllm-router")
    if program is None:
        return None
    words = [program, "--host", "127.0.0.1", "--port", str(place.port)]
    words += ["--worker-urls", place.engine_url, "--policy", "round_robin"]
    return Command([*words, "--log-level", "error", "--prometheus-port", str(free_port())])


def _smg(place: Place) -> Command | None:
    program = _installed("smg")
    if program is None:
        return None
    words = [program, "launch", "--host", "127.0.0.1", "--port", str(place.port)]
    words += ["--worker-urls", place.engine_url, "--backend", "vllm", "--policy", "round_robin"]
    words += ["--log-level", "error", "--prometheus-port", str(free_port())]
    return Command([*words, "--disable-tokenizer-autoload"])


def _litellm(place: Place) -> Command | None:
    program = _installed("litellm")
    if program is None:
        return None
    file = place.folder / "litellm.yaml"
    file.write_text(_LITELLM.format(model=MODEL, engine=place.engine))
    weak = "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"
    environment = {weak: "true", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    words = [program, "--config", str(file), "--host", "127.0.0.1", "--port", str(place.port)]
    return Command(words, environment)


GATEWAY = Kind("tokenmill", _gateway(1))
GATEWAY_OF_TWO = Kind("tokenmill, 2 workers", _gateway(2))
KINDS = (
    Kind("empty Granian app", _empty, streams=False),
    GATEWAY,
    GATEWAY_OF_TWO,
    Kind("nginx", _nginx),
    Kind("vllm-router", _vllm_router),
    Kind("smg", _smg),
    Kind("LiteLLM", _litellm, is_slow=True),
)


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class LeftOut(Exception):
    """A server that is not installed, or does not start."""


def start(kind: Kind, engine: int, folder: Path, environment: Mapping[str, str]) -> Server:
    """A server of `kind` that has answered its first chat completion. Raises: LeftOut."""
    folder.mkdir(parents=True)
    place = Place(free_port(), engine, folder)
    command = kind.command(place)
    if command is None:
        raise LeftOut("not installed")
    began = time.perf_counter()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command.words,
            env={**environment, **command.environment},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    server = Server(kind, place, process, 0.0)
    while not _answers(server):
        if process.poll() is not None or time.perf_counter() - began > READY_S_MAX:
            said = (folder / "log").read_text(errors="replace").strip().splitlines()[-3:]
            server.stop()
            raise LeftOut(f"did not answer: {' / '.join(said)}")
        time.sleep(0.005)
    server.start_s = time.perf_counter() - began
    return server


def _answers(server: Server) -> bool:
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.place.port}/v1/chat/completions",
        data=json.dumps(_QUESTION).encode(),
        headers={
            "content-type": "application/json",
            "authorization": f"Bearer {server.bearer}",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
