"""The gateway under load, beside its peers, in one run: CPU, latency, memory, start-up.

    .venv/bin/python benches/load/run.py                # all that is installed, about ten minutes
    .venv/bin/python benches/load/run.py --only tokenmill --cases json burst --rounds 3
    .venv/bin/python benches/load/run.py --smoke        # does the bench itself work: some seconds

Builds release code of the checkout, starts a mock engine and every server in front of it, and loads
them in turn, round after round, so that what else happens on the machine hits all alike. What is
measured is the processor time of each server's whole process tree. Linux only.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from build import ROOT, Built, build, build_for_smoke
from cases import CASES, OPEN_STREAMS, Case, wrong_answer
from peers import GATEWAY, GATEWAY_OF_TWO, KINDS, Kind, LeftOut, Server, start
from tables import summarise, tables

RESULTS = ROOT / "benches" / "results"
STARTS = 5
WARM_UP_S = 0.3
SETTLE_S = 6.0
"""For what a server still does after its first answer: further workers start, dashboards load, the
gateway gets a standby of control."""
SMOKE_SETTLE_S = 1.0


class WrongAnswer(Exception):
    """A server did not answer as the engine did."""


class Bench:
    """One run: what was built, the engine, the folder of its files, how long a server settles."""

    def __init__(self, built: Built, folder: Path, seconds: float, settle_s: float) -> None:
        self.built = built
        self.settle_s = settle_s
        self.folder = folder
        self.seconds = seconds
        self.engine = subprocess.Popen([built.engine], stdout=subprocess.PIPE, text=True)
        assert self.engine.stdout is not None
        self.engine_port = int(self.engine.stdout.readline())
        self._count = 0

    def start(self, kind: Kind) -> Server:
        """A fresh server. Raises: LeftOut."""
        self._count += 1
        place = self.folder / f"server-{self._count}"
        server = start(kind, self.engine_port, place, self.built.environment)
        time.sleep(self.settle_s)
        return server

    def load(self, case: Case, server: Server | None) -> dict[str, Any]:
        """One load on `server`, or on the engine alone. Raises: WrongAnswer."""
        slow = server is not None and server.kind.is_slow
        request, answer = self.folder / "request", self.folder / "answer"
        request.write_bytes(case.body)
        port = self.engine_port if server is None else server.place.port
        command = [str(self.built.client), "--port", str(port), "--request", str(request)]
        command += ["--connections", str(case.connections), "--answer", str(answer)]
        command += ["--warm-up", str(WARM_UP_S)]
        command += ["--seconds", str(self.seconds * (2 if case.pace_ms or slow else 1))]
        command += ["--watch", f"engine:{self.engine.pid}"]
        if server is not None:
            tree = server.tree()
            workers = [pid for pid, words in tree.items() if "tokenmill.gateway.worker" in words]
            command += ["--bearer", server.bearer]
            command += ["--watch", "tree:" + ",".join(map(str, tree))]
            command += ["--watch", "worker:" + ",".join(map(str, workers))]
        name = "the engine" if server is None else server.kind.name
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise WrongAnswer(f"{name}, {case.name}: {run.stderr}")
        found: dict[str, Any] = json.loads(run.stdout)
        wrong = ""
        if server is None or server.kind.streams:
            wrong = wrong_answer(case, answer.read_bytes(), is_whole=found["answers"] > 0)
        if wrong or (found["different"] and not slow):
            raise WrongAnswer(f"{name}, {case.name}: {wrong or 'answers differ'}")
        return found


def start_up(bench: Bench, kinds: list[Kind], starts: int) -> dict[str, dict[str, Any]]:
    """Seconds to the first answer, and memory then and with many open streams; or why it is left
    out. SystemExit if that is the gateway itself."""
    found = {}
    for kind in kinds:
        try:
            found[kind.name] = start_again(bench, kind, 1 if kind.is_slow else starts)
        except LeftOut as error:
            if kind is GATEWAY:
                raise SystemExit(f"{kind.name} {error}") from error
            found[kind.name] = {"left_out": str(error)}
        print(f"{kind.name}: {found[kind.name]}", flush=True)
    return found


def start_again(bench: Bench, kind: Kind, starts: int) -> dict[str, Any]:
    """What some starts found. Raises: LeftOut."""
    seconds: list[float] = []
    memory: dict[str, Any] = {}
    for number in range(starts):
        server = bench.start(kind)
        try:
            seconds.append(round(server.start_s, 3))
            if number == 0:
                memory = open_streams(bench, server)
        finally:
            server.stop()
    return {"seconds": seconds, **memory}


def open_streams(bench: Bench, server: Server) -> dict[str, Any]:
    """Resident kilobytes with one and with many open streams, of a fresh server."""
    if server.kind.is_slow or not server.kind.streams:
        return {"resident_kb": sum(map(resident_kb, server.tree()))}
    one = Case(name="one", connections=1, is_stream=True, pace_ms=OPEN_STREAMS.pace_ms)
    few, many = bench.load(one, server), bench.load(OPEN_STREAMS, server)
    of = {name: load["processes"] for name, load in (("few", few), ("many", many))}
    grown = of["many"]["tree"]["resident_kb"] - of["few"]["tree"]["resident_kb"]
    return {
        "resident_kb": of["few"]["tree"]["resident_kb"],
        "worker_resident_kb": of["few"]["worker"]["resident_kb"],
        "stream_kb": round(grown / (OPEN_STREAMS.connections - 1), 1),
    }


def resident_kb(pid: int) -> int:
    """What a process holds in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def measure(
    bench: Bench, kinds: list[Kind], cases: list[Case], rounds: int
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """What each load found, by server, case and round."""
    servers: list[Server] = []
    found: dict[str, dict[str, list[dict[str, Any]]]] = {"engine alone": {}}
    try:
        servers += map(bench.start, kinds)
        for number in range(rounds):
            for case in cases:
                for server in (None, *servers):
                    if server is not None and not _can(server.kind, case):
                        continue
                    name = "engine alone" if server is None else server.kind.name
                    try:
                        load = bench.load(case, server)
                    except WrongAnswer as error:
                        if server is None or "tokenmill" in name:
                            raise SystemExit(str(error)) from error
                        print(error, flush=True)
                        continue
                    found.setdefault(name, {}).setdefault(case.name, []).append(load)
            print(f"round {number + 1} of {rounds}", flush=True)
    finally:
        for server in servers:
            server.stop()
    return found


def _can(kind: Kind, case: Case) -> bool:
    if kind.is_slow:
        return not case.pace_ms and case.prompt_bytes < 1_000
    if kind is GATEWAY_OF_TWO:
        return case.prompt_bytes < 1_000 and not case.has_usage
    return kind.streams or not case.is_stream


def main() -> None:
    """Builds, measures, prints tables, writes the results file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.8, help="of one load")
    parser.add_argument("--only", nargs="+", help="servers", default=[])
    parser.add_argument("--cases", nargs="+", default=[])
    parser.add_argument("--smoke", action="store_true", help="once, briefly; writes nothing")
    given = parser.parse_args()
    kinds = [kind for kind in KINDS if not given.only or kind.name in given.only]
    cases = [case for case in CASES if not given.cases or case.name in given.cases]
    rounds, seconds, starts, settle_s = given.rounds, given.seconds, STARTS, SETTLE_S
    if given.smoke:
        kinds = [kind for kind in kinds if not kind.is_slow]
        rounds, seconds, starts, settle_s = 1, 0.1, 1, SMOKE_SETTLE_S
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as name:
        built = build_for_smoke() if given.smoke else build(Path(name))
        bench = Bench(built, Path(name), seconds, settle_s)
        try:
            began = start_up(bench, kinds, starts)
            there = [kind for kind in kinds if "left_out" not in began[kind.name]]
            loads = measure(bench, there, cases, rounds)
        finally:
            bench.engine.kill()
    result = described() | {
        "rounds": rounds,
        "seconds_of_a_load": seconds,
        "start_up": began,
        "loads": summarise({case.name: case.per for case in cases}, loads),
    }
    print(tables(result))
    if not (given.smoke or given.only or given.cases):
        date = f"{datetime.now(UTC):%Y-%m-%d}"
        path = RESULTS / f"{date}_{result['commit']}_load.json"
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(f"written: {path}")


def described() -> dict[str, Any]:
    """When, what and where."""
    named = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(named, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.strip(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
    }


if __name__ == "__main__":
    main()
