"""A verdict for each fact: ok, warn or fail, in words, with what to do. Pure."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from tokenmill.engines.recognition import Sighting

Level = Literal["ok", "warn", "fail"]

GRANIAN = "2.8.7"
"""The version that `asgi_server.py` was written for; its private parts may differ in others."""
PYTHON_MIN = (3, 11)
FREE_BYTES_MIN = 1 << 30
FREE_BYTES_FAIL = 64 << 20
CLOCK_SLACK_S = 60


class Verdict(Struct, frozen=True, kw_only=True):
    """One line of the doctor's report. `advice` is empty when there is nothing to do."""

    check: str
    level: Level
    found: str
    advice: str = ""


def exit_status(verdicts: Sequence[Verdict]) -> int:
    """1 if anything fails."""
    return 1 if any(verdict.level == "fail" for verdict in verdicts) else 0


def judge_python(version: tuple[int, int, int]) -> Verdict:
    shown = ".".join(map(str, version))
    if version[:2] < PYTHON_MIN:
        advice = "Install Python 3.11 or newer and make a new environment."
        return Verdict(check="python", level="fail", found=shown, advice=advice)
    return Verdict(check="python", level="ok", found=shown)


def judge_granian(version: str) -> Verdict:
    if version != GRANIAN:
        advice = f"pip install granian=={GRANIAN}: tokenmill leans on this very version."
        return Verdict(check="granian", level="fail", found=version or "missing", advice=advice)
    return Verdict(check="granian", level="ok", found=version)


def judge_engine_software(mistralrs: str, vllm: str, *, has_gpu: bool) -> Verdict:
    """`vllm`: the path of its command, empty if there is none."""
    found = [f"embedded: mistralrs {mistralrs}"] if mistralrs else []
    if vllm:
        found.append(f"vLLM: {vllm}" + ("" if has_gpu else " (no usable GPU)"))
    if not found:
        advice = "pip install 'tokenmill[embedded]', or name an engine with --engine URL."
        return Verdict(check="engine software", level="warn", found="none here", advice=advice)
    return Verdict(check="engine software", level="ok", found="; ".join(found))


def judge_state(folder: str, problem: str, free_bytes: int) -> Verdict:
    """`problem`: why the folder cannot be used, empty if it can be."""
    if problem:
        advice = "Give a folder that this user can write with --state DIR (or TOKENMILL_STATE)."
        found = f"{folder}: {problem}"
        return Verdict(check="state folder", level="fail", found=found, advice=advice)
    found = f"{folder}, {free_bytes / (1 << 30):.1f} GiB free"
    if free_bytes < FREE_BYTES_MIN:
        level: Level = "fail" if free_bytes < FREE_BYTES_FAIL else "warn"
        advice = "Make room: the database and the hot segment need it."
        return Verdict(check="state folder", level=level, found=found, advice=advice)
    return Verdict(check="state folder", level="ok", found=found)


def judge_segments(names: Sequence[str]) -> Verdict:
    """`names`: hot segments that were set aside and whose cells are not in the ledger yet."""
    if not names:
        return Verdict(check="earlier requests", level="ok", found="all are in the ledger")
    advice = (
        "A start brings them to the ledger. What stays after one is of another version: start that"
        " version once, or delete the file if what its last requests cost does not matter."
    )
    found = f"not in the ledger: {', '.join(names)}"
    return Verdict(check="earlier requests", level="warn", found=found, advice=advice)


def judge_secrets(open_files: Sequence[str]) -> Verdict:
    """`open_files`: files of the state folder that other users may read."""
    if open_files:
        found = "readable by others: " + ", ".join(open_files)
        advice = "chmod go-rwx " + " ".join(open_files)
        return Verdict(check="secrets", level="fail", found=found, advice=advice)
    return Verdict(check="secrets", level="ok", found="for this user alone")


def judge_house(pid: int, url: str, *, is_stale: bool) -> Verdict:
    """`pid`: who holds the state folder, 0 for nobody. `is_stale`: a lock file nobody holds."""
    if pid:
        found = f"process {pid} serves {url}"
    elif is_stale:
        found = "not running; the lock file of an ended one is harmless"
    else:
        found = "not running"
    return Verdict(check="house", level="ok", found=found)


def judge_service(models: Sequence[str], serving: int, problem: str) -> Verdict:
    """What a running house serves. `serving`: its workers that take requests; `problem`: why
    control could not be asked."""
    if problem:
        advice = "It is replaced within a second; if this stays, its log says why."
        return Verdict(check="service", level="fail", found=problem, advice=advice)
    if not serving:
        advice = "Workers are replaced as they end; the log says why they do."
        return Verdict(check="service", level="fail", found="no worker serves", advice=advice)
    if not models:
        advice = "Start vLLM on port 8000, name an engine with --engine URL, or run `tokenmill up`."
        found = "no engine answers: requests get 503 no_engine"
        return Verdict(check="service", level="fail", found=found, advice=advice)
    return Verdict(check="service", level="ok", found="serves " + ", ".join(models))


def judge_port(check: str, port: int, holder: str, *, is_free: bool, is_ours: bool) -> Verdict:
    """`holder`: the process that listens, where that is known; `is_ours`: it is this house."""
    if is_ours:
        return Verdict(check=check, level="ok", found=f"{port}: held by the running house")
    if is_free:
        return Verdict(check=check, level="ok", found=f"{port}: free")
    level: Level = "fail" if check == "port" else "warn"
    flag = "--port" if check == "port" else "the setting metrics.port"
    return Verdict(
        check=check,
        level=level,
        found=f"{port}: taken" + (f" by {holder}" if holder else ""),
        advice=f"End that program, or choose another port with {flag}.",
    )


def judge_files(hard_limit: int, connections_max: int) -> Verdict:
    """`hard_limit`: how far a process may raise its open files; -1 for no limit."""
    needed = connections_max + 256
    if 0 <= hard_limit < needed:
        return Verdict(
            check="open files",
            level="warn",
            found=f"limit {hard_limit}, wanted {needed}",
            advice=f"ulimit -Hn {needed} (or LimitNOFILE={needed}), or lower http.connections_max.",
        )
    found = "no limit" if hard_limit < 0 else f"limit {hard_limit}"
    return Verdict(check="open files", level="ok", found=found)


def judge_clock(wall_s: float, newest_file_s: float, drift: float) -> Verdict:
    """`newest_file_s`: the newest time known to be past; `drift`: wall against monotonic rate."""
    if wall_s < newest_file_s - CLOCK_SLACK_S:
        behind_s = int(newest_file_s - wall_s)
        return Verdict(
            check="clock",
            level="fail",
            found=f"{behind_s} s behind the newest file of this installation",
            advice="Set the clock (timedatectl set-ntp true): keys would expire at wrong times.",
        )
    if abs(drift) > 0.05:
        advice = "The clock is being moved; see that one time service corrects it slowly."
        found = f"runs {drift:+.0%} against the steady clock"
        return Verdict(check="clock", level="warn", found=found, advice=advice)
    return Verdict(check="clock", level="ok", found="runs steadily, and not in the past")


def judge_database(shown: str, revision: str | None, problem: str, newest: str) -> Verdict:
    """`revision` None: there are no tables yet; `problem`: why it cannot be read."""
    if problem:
        advice = "Look at the setting database_url, and at whether the server runs."
        found = f"{shown}: {problem}" if shown else problem
        return Verdict(check="database", level="fail", found=found, advice=advice)
    if revision is None:
        return Verdict(check="database", level="ok", found=f"{shown}: made at the first start")
    if revision < newest:
        found = f"{shown}: revision {revision}, brought to {newest} at the next start"
        return Verdict(check="database", level="ok", found=found)
    return Verdict(check="database", level="ok", found=f"{shown}: revision {revision}")


def judge_redis(shown: str, problem: str, version: str, eviction: str) -> Verdict:
    """`problem`: why it cannot be used; `eviction`: what it does when its memory is full."""
    if problem:
        advice = "Requests are refused until it answers: look at redis_url and at the server."
        return Verdict(check="redis", level="fail", found=f"{shown}: {problem}", advice=advice)
    found = f"{shown}: Redis {version}"
    if eviction not in ("noeviction", ""):
        advice = "Set maxmemory-policy to noeviction: a purse that is evicted is refused requests."
        return Verdict(check="redis", level="warn", found=f"{found}, {eviction}", advice=advice)
    return Verdict(check="redis", level="ok", found=found)


def judge_engine(name: str, sighting: Sighting, *, is_named: bool) -> Verdict:
    """An engine that the settings name must serve; an address that is only tried need not."""
    models = ", ".join(model.id for model in sighting.models)
    check = f"engine {name}"
    if sighting.outcome == "serving":
        found = f"{sighting.kind} {sighting.version}".strip() + f" serves {models or 'nothing'}"
        return Verdict(check=check, level="ok", found=found)
    found = sighting.outcome + (f": {sighting.detail}" if sighting.detail else "")
    if sighting.outcome == "loading":
        return Verdict(check=check, level="ok" if not is_named else "warn", found=found)
    if not is_named:
        return Verdict(check=check, level="ok", found=f"no engine there ({sighting.outcome})")
    return Verdict(check=check, level="fail", found=found, advice=_ENGINE_ADVICE[sighting.outcome])


_ENGINE_ADVICE = {
    "refused": "Nothing listens there: start the engine, or correct its URL.",
    "unreachable": "No connection in time: look at the address, the network and firewalls.",
    "silent": "It accepts and does not answer: look at the engine's own log.",
    "broken": "It does not speak HTTP: is another program on that port?",
    "locked": "It asks for an API key: set api_key of this engine in the configuration file.",
    "foreign": "Something answers there that is no engine: correct the URL.",
}
