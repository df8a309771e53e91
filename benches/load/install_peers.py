"""Installs what the gateway is compared with, each into a virtual environment of its own.

    .venv/bin/python benches/load/install_peers.py

Nothing of it becomes a dependency of the project. nginx comes from the system's packages
(`apt-get install nginx`) and is left out where it is not there, as is any peer that is missing.
"""

import subprocess
import sys

from peers import PEERS_FOLDER

PACKAGES = {
    "vllm-router": "vllm-router==0.1.17",
    "smg": "smg==1.13",
    "litellm": "litellm[proxy]==1.109",
    "plots": "matplotlib",
}


def main() -> None:
    """Makes the environments that are missing."""
    for name, package in PACKAGES.items():
        folder = PEERS_FOLDER.expanduser() / name
        if not (folder / "bin" / "python").exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", package], check=True)
        print(f"{package}: {folder}")


if __name__ == "__main__":
    main()
