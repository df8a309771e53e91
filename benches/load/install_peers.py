"""Installs what the gateway is compared with, each into a virtual environment of its own.

    .venv/bin/python benches/load/install_peers.py

Nothing of it becomes a dependency of the project. nginx comes from the system's packages
(`apt-get install nginx`) and is left out where it is not there, as is any peer that is missing.
"""

import json
import subprocess
import sys
from pathlib import Path

from peers import PEERS_FOLDER

PACKAGES = {
    "vllm-router": "vllm-router==0.1.17",
    "smg": "smg==1.13",
    "litellm": "litellm==1.109",
    "plots": "matplotlib",
}


_REQUIRES = "import json, importlib.metadata as m; print(json.dumps(m.requires('litellm')))"


def proxy_requirements(python: Path) -> list[str]:
    """What LiteLLM's `proxy` extra needs. Its own parts are taken in whichever version the registry
    has: the pinned ones are not always there, and hold migrations and licence checks only."""
    run = subprocess.run([python, "-c", _REQUIRES], capture_output=True, text=True, check=True)
    found = []
    for requirement in json.loads(run.stdout):
        package, _, marker = requirement.partition(";")
        if "extra == 'proxy'" in marker:
            condition = marker.replace("extra == 'proxy'", "python_version > '3'")
            own = package.startswith("litellm-")
            found.append(f"{package.split('==')[0] if own else package};{condition}")
    return found


def main() -> None:
    """Makes the environments that are missing."""
    for name, package in PACKAGES.items():
        folder = PEERS_FOLDER.expanduser() / name
        if not (folder / "bin" / "python").exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", package], check=True)
        if name == "litellm":
            extra = proxy_requirements(folder / "bin" / "python")
            subprocess.run([folder / "bin" / "pip", "install", "-q", *extra], check=True)
        print(f"{package}: {folder}")


if __name__ == "__main__":
    main()
