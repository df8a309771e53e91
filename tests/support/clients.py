"""Places where foreign clients are installed for the tests: Node's folder, a venv of LlamaIndex.

Both are made once, in TOKENMILL_TEST_CACHE or a folder of this test run, from pinned versions.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.services import require

NODE_MANIFEST = Path(__file__).parent / "node"
LLAMA_INDEX = ("llama-index-llms-openai-like==0.8.1",)


@functools.cache
def cache_folder() -> Path:
    """Where slow installs are kept; the operator's cache when one is named."""
    named = os.environ.get("TOKENMILL_TEST_CACHE")
    folder = Path(named) if named else Path(tempfile.mkdtemp(prefix="tokenmill-clients-"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def _installed_node_folder() -> Path:
    if shutil.which("node") is None or shutil.which("npm") is None:
        require("node", "install Node.js 20 or newer with npm")
    folder = cache_folder() / "node"
    folder.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(NODE_MANIFEST / name, folder / name)
    subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder,
        check=True,
        timeout=180,
        capture_output=True,
    )
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
def llama_index_python() -> Path:
    """The interpreter of a venv with LlamaIndex, whose pins of `openai` collide with ours."""
    if os.environ.get("TOKENMILL_TEST_CACHE") is None:
        require("llama-index", "set TOKENMILL_TEST_CACHE to a folder that may hold its venv")
    venv = cache_folder() / "llama-index"
    python = venv / "bin" / "python"
    if not (venv / ".finished").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True, timeout=60)
        install = [python, "-m", "pip", "install", "--quiet", *LLAMA_INDEX]
        subprocess.run(install, check=True, timeout=600)
        (venv / ".finished").touch()
    return python
