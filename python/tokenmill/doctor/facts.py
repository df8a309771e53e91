"""Gathers what the doctor judges: looks at this machine, changes nothing on it."""

import asyncio
import os
import resource
import shutil
import stat
import sys
import time
from importlib import metadata
from pathlib import Path

from msgspec import Struct

from tokenmill.control_client import ControlAway, ControlClient, ControlRefused
from tokenmill.database.address import find_address
from tokenmill.database.connection import Database
from tokenmill.database.upgrade import HEAD, stored_revision
from tokenmill.doctor import verdicts
from tokenmill.doctor.verdicts import Verdict
from tokenmill.engines.address import Address, local_address, parse_address
from tokenmill.engines.probe import look
from tokenmill.engines.vllm.presence import find_vllm, has_usable_gpu
from tokenmill.errors import ApiError
from tokenmill.listening import listen_tcp
from tokenmill.purses.address import check_url, shown_url
from tokenmill.settings import Settings
from tokenmill.state_folder import control_socket, lock_path, previous_segments
from tokenmill.supervisor.port_holder import find_port_holder
from tokenmill.supervisor.state_lock import Holder, find_holder

_SECRET_FILES = ("local_key", "tokenmill.db", "fleet.json", "hot.segment")
_DRIFT_SAMPLE_S = 0.2


class _Worker(Struct):
    """What is of interest of a worker in control's status."""

    state: str


class _Status(Struct):
    """What is of interest in control's status."""

    models: list[str]
    workers: list[_Worker]


def examine(settings: Settings) -> list[Verdict]:
    """All verdicts, in the order of what depends on what."""
    holder = find_holder(settings.state)
    return [
        verdicts.judge_python(sys.version_info[:3]),
        verdicts.judge_granian(_version("granian")),
        verdicts.judge_engine_software(
            _version("mistralrs"), find_vllm(), has_gpu=has_usable_gpu()
        ),
        _state(settings.state),
        verdicts.judge_segments([path.name for path in previous_segments(settings.state)]),
        verdicts.judge_secrets(_open_files(settings.state)),
        verdicts.judge_house(
            holder.pid if holder else 0,
            holder.url if holder else "",
            is_stale=holder is None and lock_path(settings.state).exists(),
        ),
        *([_service(settings.state)] if holder else []),
        _port("port", settings.host, settings.port, holder),
        _port("metrics port", settings.metrics.host, settings.metrics.port, holder),
        verdicts.judge_files(_hard_limit(), settings.http.connections_max),
        _clock(settings.state),
        _database(settings),
        *([_redis(settings)] if settings.redis_url else []),
        *asyncio.run(_engines(settings)),
    ]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _state(folder: Path) -> Verdict:
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    problem = ""
    if not nearest.is_dir():
        problem = f"{nearest} is no folder"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        problem = "cannot be written" if nearest == folder else f"cannot be made in {nearest}"
    return verdicts.judge_state(str(folder), problem, shutil.disk_usage(nearest).free)


def _open_files(folder: Path) -> list[str]:
    found = []
    for path in [folder / name for name in _SECRET_FILES]:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        if mode & 0o077 and not _is_private(folder):
            found.append(str(path))
    return found


def _is_private(folder: Path) -> bool:
    return not stat.S_IMODE(folder.stat().st_mode) & 0o077


def _port(check: str, host: str, port: int, holder: Holder | None) -> Verdict:
    if port == 0:
        found = "any free one" if check == "port" else "off"
        return Verdict(check=check, level="ok", found=found)
    is_free = True
    try:
        listen_tcp(host, port).close()
    except OSError:
        is_free = False
    who = "" if is_free else find_port_holder(port)
    is_ours = holder is not None and not is_free
    if check == "port":
        is_ours = is_ours and holder is not None and holder.url.endswith(f":{port}")
    return verdicts.judge_port(check, port, who, is_free=is_free, is_ours=is_ours)


def _service(folder: Path) -> Verdict:
    try:
        told = ControlClient(control_socket(folder)).get("/control/status", _Status)
    except ControlAway:
        return verdicts.judge_service([], 0, "control does not answer")
    except ControlRefused as error:
        return verdicts.judge_service([], 0, str(error))
    serving = sum(worker.state == "serving" for worker in told.workers)
    return verdicts.judge_service(told.models, serving, "")


def _hard_limit() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return -1 if hard == resource.RLIM_INFINITY else hard


def _clock(folder: Path) -> Verdict:
    wall_s, steady_s = time.time(), time.monotonic()
    time.sleep(_DRIFT_SAMPLE_S)
    steady_took_s = time.monotonic() - steady_s
    drift = (time.time() - wall_s - steady_took_s) / steady_took_s
    known = [Path(__file__), lock_path(folder)]
    newest_s = max(path.stat().st_mtime for path in known if path.exists())
    return verdicts.judge_clock(time.time(), newest_s, drift)


def _database(settings: Settings) -> Verdict:
    shown = ""
    try:
        address = find_address(settings.database_url, settings.state)
        shown = address.shown
        if address.path is not None and not address.path.exists():
            return verdicts.judge_database(shown, None, "", HEAD)
        database = Database(address)
        try:
            with database.read() as connection:
                revision = stored_revision(connection)
        finally:
            database.close()
    except ApiError as error:
        return verdicts.judge_database(shown, None, error.message, HEAD)
    return verdicts.judge_database(shown, revision, "", HEAD)


def _redis(settings: Settings) -> Verdict:
    shown = shown_url(settings.redis_url)
    try:
        kind = find_address(settings.database_url, settings.state).kind
        check_url(settings.redis_url, kind)
    except ApiError as error:
        return verdicts.judge_redis(shown, error.message, "", "")
    from redis.exceptions import RedisError

    from tokenmill.purses.connection import connect

    try:
        with connect(settings.redis_url, settings.redis) as redis:
            told = redis.info("server") | redis.info("memory")
    except (RedisError, OSError, ValueError) as error:
        return verdicts.judge_redis(shown, str(error), "", "")
    version, eviction = told.get("redis_version", ""), told.get("maxmemory_policy", "")
    return verdicts.judge_redis(shown, "", str(version), str(eviction))


async def _engines(settings: Settings) -> list[Verdict]:
    wanted: list[tuple[str, Address, str, bool]] = []
    for engine in settings.engines:
        address = parse_address(engine.url)
        wanted.append((engine.name or address.url, address, engine.api_key, True))
    if settings.discovery.enabled:
        tried = [port for port in settings.discovery.ports if port != settings.port]
        wanted += [(f"port {port}", local_address(port), "", False) for port in tried]
    timeout_ms = max(settings.discovery.probe_ms, 2_000)
    looks = (look(address, api_key=key, timeout_ms=timeout_ms) for _, address, key, _ in wanted)
    found = await asyncio.gather(*looks)
    return [
        verdicts.judge_engine(name, sighting, is_named=is_named)
        for (name, _, _, is_named), sighting in zip(wanted, found, strict=True)
    ]
