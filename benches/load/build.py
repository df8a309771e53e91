"""The programs and the package of a run, built for speed from the sources as they are."""

import os
import subprocess
import sys
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parents[2]


class Built(Struct, frozen=True):
    """What a run starts. `environment` puts the release package before an editable one."""

    engine: Path
    client: Path
    environment: dict[str, str]


def build(folder: Path) -> Built:
    """The engine, the client, and the release wheel installed into `folder`."""
    programs = _programs("release", "--release", "-p", "tokenmill-benches")
    maturin = [str(Path(sys.executable).with_name("maturin")), "build", "--release", "--locked"]
    wheels = folder / "wheel"
    subprocess.run([*maturin, "-q", "--out", str(wheels)], cwd=ROOT, check=True)
    wheel = next(wheels.glob("tokenmill-*.whl"))
    package = folder / "package"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(package)]
    subprocess.run([*pip, str(wheel)], check=True)
    return _built(programs, {"PYTHONPATH": str(package)})


def build_for_smoke() -> Built:
    """Programs as tests build them, and the package that is installed: nothing to wait for."""
    return _built(_programs("debug", "--workspace"), {})


def _programs(profile: str, *options: str) -> Path:
    wanted = ["--bin", "bench_engine", "--bin", "bench_client"]
    subprocess.run(["cargo", "build", "--locked", "-q", *wanted, *options], cwd=ROOT, check=True)
    return ROOT / "target" / profile


def _built(programs: Path, environment: dict[str, str]) -> Built:
    engine, client = programs / "bench_engine", programs / "bench_client"
    return Built(engine, client, {**os.environ, **environment})
