"""A process that takes `vllm serve`'s command line and answers as one: for tests of who holds it.

`python -m tests.support.sham_vllm MODEL --port P [--never-up] [--deaf] [--short-lived]`; all other
arguments are ignored. `--deaf` ignores SIGTERM, `--short-lived` ends when it is up.
"""

import argparse
import signal
import sys
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
    print("WARNING 11-22 said by the engine", flush=True)
    if not given.never_up:
        PacedEngine(0.01, given.port)
    if given.short_lived:
        sys.exit(3)
    threading.Event().wait()


if __name__ == "__main__":
    main()
