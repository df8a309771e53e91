"""Places where foreign clients are installed for the tests, each from versions that are pinned.

`environments/NAME.lock` is what the virtual environment NAME holds; a client whose pins collide
with another's lives in another one. `node` is the folder of the JavaScript clients. All are made
once, in TOKENMILL_TEST_CACHE, and again when their lock changes.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.services import require

NODE_MANIFEST = Path(__file__).parent / "node"
ENVIRONMENTS = Path(__file__).parent / "environments"
INSTALL_S_MAX = 600

_LOCKED = re.compile(
    r"^([a-z0-9-]+)(?:\[[^]]*\])?==(\S+)(?:.*\\\n(?:    --hash=.*\n)+)?", re.MULTILINE
)


@functools.cache
def cache_folder() -> Path:
    """Where slow installs are kept; the operator's cache when one is named."""
    named = os.environ.get("TOKENMILL_TEST_CACHE")
    folder = Path(named) if named else Path(tempfile.mkdtemp(prefix="tokenmill-clients-"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def client_environment() -> dict[str, str]:
    """The environment without what is meant for the pytest of this project."""
    mine = ("PYTEST_ADDOPTS", "PYTEST_XDIST")
    return {name: value for name, value in os.environ.items() if not name.startswith(mine)}


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One process of the suite installs at a time."""
    with (cache_folder() / "installing.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.cache
@_alone()
def _installed_node_folder() -> Path:
    if shutil.which("node") is None or shutil.which("npm") is None:
        require("node", "install Node.js 20 or newer with npm")
    folder = cache_folder() / "node"
    folder.mkdir(exist_ok=True)
    stamp = _stamp(NODE_MANIFEST / "package-lock.json")
    if not (folder / stamp).exists():
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(NODE_MANIFEST / name, folder / name)
        _run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=folder)
        (folder / stamp).touch()
    return folder


def node_folder(scratch: Path) -> Path:
    """A folder below `scratch` whose scripts can import the pinned JavaScript clients."""
    folder = scratch / "node"
    folder.mkdir(exist_ok=True)
    link = folder / "node_modules"
    if not link.exists():
        link.symlink_to(_installed_node_folder() / "node_modules")
    return folder


@functools.cache
@_alone()
def client_python(name: str) -> Path:
    """The interpreter of the environment `name`; without a cache to keep it in, the test skips."""
    lock = ENVIRONMENTS / f"{name}.lock"
    venv = _kept_folder() / f"{name}-{_stamp(lock)}"
    python = venv / "bin" / "python"
    if not (venv / ".finished").exists():
        for old in venv.parent.glob(f"{name}-*"):
            shutil.rmtree(old)
        _run(sys.executable, "-m", "venv", venv)
        _run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", lock)
        (venv / ".finished").touch()
    return python


@functools.cache
@_alone()
def openai_suite() -> Path:
    """The sources of OpenAI's Python client with its own tests: the release that is pinned."""
    folder = _kept_folder() / f"openai-{locked_versions('openai3')['openai']}"
    if not (folder / ".finished").exists():
        text = (ENVIRONMENTS / "openai3.lock").read_text()
        pinned = next(each[0] for each in _LOCKED.finditer(text) if each[1] == "openai")
        with tempfile.TemporaryDirectory() as scratch:
            wanted = Path(scratch) / "wanted.txt"
            wanted.write_text(pinned.replace("[aiohttp]", "").rstrip("\\\n ") + "\n")
            source = ("--no-deps", "--no-binary", ":all:", "--require-hashes", "-r", wanted)
            _run(sys.executable, "-m", "pip", "download", "--quiet", *source, "-d", scratch)
            (archive,) = Path(scratch).glob("openai-*.tar.gz")
            with tarfile.open(archive) as opened:
                opened.extractall(folder.parent, filter="data")
        (folder / ".finished").touch()
    return folder


def locked_versions(name: str) -> dict[str, str]:
    """Versions by package in the lock of the environment `name`."""
    text = (ENVIRONMENTS / f"{name}.lock").read_text()
    return {found[1]: found[2] for found in _LOCKED.finditer(text)}


def _kept_folder() -> Path:
    if os.environ.get("TOKENMILL_TEST_CACHE") is None:
        require("clients", "set TOKENMILL_TEST_CACHE to a folder that may hold 700 MB of clients")
    return cache_folder()


def _stamp(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()[:12]


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
