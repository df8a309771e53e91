"""Whether vLLM is installed here and has a GPU to use: looked up without importing vLLM or torch.

Touches the disk and may run `nvidia-smi`; the decision itself is in `engines/rules.py`.
"""

import shutil
import subprocess
import sys
from pathlib import Path

_GPU_LIST_S_MAX = 10.0
"""A driver that wakes up takes seconds; one that hangs must not hold up the start."""


def find_vllm() -> str:
    """The `vllm` command on PATH or beside this interpreter; empty if there is none."""
    beside = Path(sys.executable).with_name("vllm")
    return shutil.which("vllm") or (str(beside) if beside.is_file() else "")


def has_usable_gpu() -> bool:
    """Whether NVIDIA's driver lists a GPU that this process may open (or AMD's is there)."""
    return _has_nvidia() or _is_openable(Path("/dev/kfd"))


def _has_nvidia() -> bool:
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"))
    command = shutil.which("nvidia-smi")
    if not any(map(_is_openable, devices)) or command is None:
        return False
    try:
        listed = subprocess.run(
            [command, "-L"], capture_output=True, timeout=_GPU_LIST_S_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and b"GPU" in listed.stdout


def _is_openable(device: Path) -> bool:
    try:
        with device.open("rb+", buffering=0):
            return True
    except OSError:
        return False
