"""A process that takes `vllm serve`'s command line and answers as one: for tests of who holds it.

`python -m tests.support.sham_vllm MODEL --port P [--never-up] [--deaf] [--short-lived]`; all other
arguments are ignored. `--deaf` ignores SIGTERM, `--short-lived` ends when it is up. Like vLLM it
has a process of its own that outlives it when it is killed, and shares its output.
"""

import argparse
import os
import signal
import subprocess
import threading

from tests.support.paced_engine import PacedEngine


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--port", type=int, required=True)
    for flag in ("--never-up", "--deaf", "--short-lived"):
        parser.add_argument(flag, action="store_true")
    given, _ = parser.parse_known_args()
    if given.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with subprocess.Popen(["sleep", "600"]):
        run(given)


def run(given: argparse.Namespace) -> None:
    print("WARNING 11-22 said by the engine", flush=True)
    if not given.never_up:
        PacedEngine(0.01, given.port)
    if given.short_lived:
        os._exit(3)
    threading.Event().wait()


if __name__ == "__main__":
    main()
