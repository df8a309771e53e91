"""A house as load tests see it: started, asked, and its processes read from /proc."""

import asyncio
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benches" / "results"
ENGINE = Path(__file__).with_name("pacing_engine.py")
CHAT = "/v1/chat/completions"
START_S_MAX = 60.0


class WatchedHouse:
    """A running house: its port, key, log and processes."""

    def __init__(self, supervisor: int, scratch: Path, engine_url: str) -> None:
        self.supervisor = supervisor
        self.log = scratch / "log"
        self.state = scratch / "state"
        self.engine_url = engine_url
        self.port = 0
        self.key = ""

    def processes(self) -> dict[str, int]:
        """Process ids by what they run, with the control that stands by; workers are numbered."""
        children = Path(f"/proc/{self.supervisor}/task/{self.supervisor}/children").read_text()
        found = {"supervisor": self.supervisor}
        for pid in map(int, children.split()):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            module = next((word for word in words if word.startswith("tokenmill.")), "other")
            is_standby = Path(f"/proc/{pid}/comm").read_text().strip() == "tm-standby"
            name = "standby" if is_standby else module.rpartition(".")[2]
            found[name if name not in found else f"{name}-{pid}"] = pid
        return found

    def chat(self, said: str = "Say something.", **fields: Any) -> bytes:
        """The bytes of a chat completion request."""
        messages = [{"role": "user", "content": said}]
        body = json.dumps({"messages": messages} | fields).encode()
        lines = [f"POST {CHAT} HTTP/1.1", "host: bench", f"authorization: Bearer {self.key}"]
        lines += ["content-type: application/json", f"content-length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A fresh connection."""
        return await asyncio.open_connection("127.0.0.1", self.port)


def memory_kib(pid: int) -> dict[str, int]:
    """Resident memory of a process, and the part of it that no other process shares."""
    wanted = {"Rss": "resident", "Private_Clean": "private", "Private_Dirty": "private"}
    found = {"resident": 0, "private": 0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in wanted:
            found[wanted[name]] += int(rest.split()[0])
    return found


def look(pid: int) -> dict[str, int]:
    """Memory, descriptors and threads of a process now."""
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    return {**memory_kib(pid), "descriptors": descriptors, "threads": threads}


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def watched_house(
    *, pause_ms: float = 20, settings: dict[str, str] | None = None, urls: Sequence[str] = ()
) -> Iterator[WatchedHouse]:
    """A house with one worker before the engines at `urls` or, without such, a steady engine in a
    process of its own."""
    with tempfile.TemporaryDirectory(prefix="tm-") as scratch, contextlib.ExitStack() as running:
        urls = urls or [running.enter_context(_steady_engine(pause_ms))]
        log = Path(scratch) / "log"
        command = [sys.executable, "-m", "tokenmill.cli", "serve", "--port", "0"]
        command += ["--state", str(Path(scratch) / "state")]
        command += [word for url in urls for word in ("--engine", url)]
        fixed = {"TOKENMILL_METRICS_PORT": "0", "TOKENMILL_DISCOVERY_ENABLED": "false"}
        fixed |= {"TOKENMILL_LOG_FORMAT": "json"} | (settings or {})
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, env=os.environ | fixed, stdout=output, stderr=output
            )
        running.callback(process.wait)
        running.callback(process.terminate)
        house = WatchedHouse(process.pid, Path(scratch), urls[0])
        _wait_until_it_serves(house)
        yield house


@contextlib.contextmanager
def _steady_engine(pause_ms: float) -> Iterator[str]:
    """Its URL."""
    command = [sys.executable, str(ENGINE), "--pause-ms", str(pause_ms)]
    engine = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert engine.stdout is not None
        yield f"http://127.0.0.1:{int(engine.stdout.readline())}"
    finally:
        engine.kill()
        engine.wait()


def _wait_until_it_serves(house: WatchedHouse) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        for line in house.log.read_text().splitlines():
            record = json.loads(line) if line.startswith("{") else {}
            if record.get("message") == "serving" and "url" in record:
                house.port = int(record["url"].rpartition(":")[2])
                house.key = Path(record["local_key"]).read_text().strip()
                models = httpx.get(
                    f"{record['url']}/v1/models",
                    headers={"authorization": f"Bearer {house.key}"},
                )
                if models.json()["data"]:
                    return
        time.sleep(0.1)
    raise TimeoutError(f"the house does not serve: {house.log.read_text()[-2_000:]}")


def machine() -> dict[str, Any]:
    """What a results file says of where it was made."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "load_before": [round(each, 2) for each in os.getloadavg()],
    }


def write_results(name: str, results: dict[str, Any]) -> Path:
    """The file that the results were written to."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{results['date']}_{results['commit']}_{name}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    return path
