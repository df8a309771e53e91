"""Trains the demo model on one CPU core for a given time and writes its folder.

    XLA_FLAGS=--xla_cpu_multi_thread_eigen=false taskset -c 1 python -m demo_model.train OUT

The learning rate falls by the clock, not by steps: on a busy machine the run ends when it should,
with fewer steps. Checkpoints lie in RUN; `--resume` goes on from one, with the corpus as it is
then.
"""

import argparse
import pickle
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tokenizers import Tokenizer

from demo_model.batches import Batches
from demo_model.corpus.conversation import conversation
from demo_model.export import export
from demo_model.llama import Parameters, Shape, initialize, losses
from demo_model.optimizer import Pace, State, fresh_state, step
from demo_model.rendering import render
from demo_model.tokenizer import train_tokenizer

TOKENIZER_SAMPLES = 12_000
WARM_UP_STEPS = 40
REPORT_STEPS = 100
CHECKPOINT_S = 180
CUT_SHARE = 0.6  # see batches.py
VALIDATION_SEED = 10_000


@dataclass
class Run:
    """All that a checkpoint holds. `spent_s` is training time over all legs."""

    parameters: Parameters
    state: State
    steps: int
    tokens: int
    spent_s: float


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the folder of the exported model")
    parser.add_argument("--run", type=Path, default=Path("demo_run"), help="checkpoints, tokenizer")
    parser.add_argument("--minutes", type=float, default=100.0, help="wall-clock time, all legs")
    parser.add_argument(
        "--decay-minutes", type=float, default=50.0, help="of falling rate at the end"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


def rate(steps: int, left_s: float, decay_s: float) -> float:
    """The learning rate's factor: a short warm-up, then flat, then down to zero at the end."""
    return min(1.0, (steps + 1) / WARM_UP_STEPS) * max(0.0, min(1.0, left_s / decay_s))


def tokenizer_of(run: Path, shape: Shape, seed: int) -> Tokenizer:
    """The run's tokenizer, made at its first start."""
    path = run / "tokenizer.json"
    if not path.exists():
        rng = random.Random(seed)
        samples = (
            "".join(text for text, _ in render(conversation(rng), rng))
            for _ in range(TOKENIZER_SAMPLES)
        )
        train_tokenizer(shape.vocabulary, samples).save(str(path))
    return Tokenizer.from_file(str(path))


def save(run: Run, path: Path) -> None:
    kept = (
        jax.tree.map(np.asarray, (run.parameters, run.state)),
        run.steps,
        run.tokens,
        run.spent_s,
    )
    fresh = path.with_suffix(".new")
    fresh.write_bytes(pickle.dumps(kept))
    fresh.replace(path)


def load(path: Path) -> Run:
    """A checkpoint of this script's own making."""
    (parameters, state), steps, tokens, spent_s = pickle.loads(path.read_bytes())
    parameters, state = jax.tree.map(jax.numpy.asarray, (parameters, state))
    return Run(parameters, state, steps, tokens, spent_s)


def main() -> None:
    options = arguments()
    options.run.mkdir(parents=True, exist_ok=True)
    shape, path = Shape(), options.run / "checkpoint.pickle"
    tokenizer = tokenizer_of(options.run, shape, options.seed)
    if options.resume:
        run = load(path)
    else:
        parameters = initialize(shape, options.seed)
        run = Run(parameters, fresh_state(parameters), 0, 0, 0.0)
    train(options, shape, tokenizer, run, path)
    save(run, path)
    size = export(shape, run.parameters, tokenizer, options.out)
    print(f"{size} bytes, {run.steps} steps, {run.tokens} tokens, {run.spent_s / 60:.1f} minutes")


def train(
    options: argparse.Namespace, shape: Shape, tokenizer: Tokenizer, run: Run, path: Path
) -> None:
    """Steps until the time is over; `run` is changed in place."""
    batches = Batches(conversation, tokenizer, options.seed + run.steps, cut_share=CUT_SHARE)
    validation = Batches(conversation, tokenizer, VALIDATION_SEED)
    checks = [validation.next() for _ in range(6)]
    check = jax.jit(lambda parameters, batch: losses(shape, parameters, batch)[1])
    started = time.monotonic() - run.spent_s
    smooth, saved_s = None, run.spent_s
    while (left_s := options.minutes * 60 - run.spent_s) > 0:
        factor = rate(run.steps, left_s, options.decay_minutes * 60)
        batch = batches.next()
        run.parameters, run.state, loss = step(
            shape, run.parameters, run.state, batch, Pace(factor, run.steps + 1.0)
        )
        smooth = float(loss) if smooth is None else 0.98 * smooth + 0.02 * float(loss)
        run.steps += 1
        run.tokens += batch.tokens.size
        run.spent_s = time.monotonic() - started
        if run.steps % REPORT_STEPS == 0 or run.steps in (5, 20, 50):
            valid = float(np.mean([check(run.parameters, b) for b in checks]))
            report(run, factor, smooth, valid)
        if run.spent_s - saved_s > CHECKPOINT_S:
            saved_s = run.spent_s
            save(run, path)
            export(shape, run.parameters, tokenizer, options.run / "latest")


def report(run: Run, factor: float, smooth: float, valid: float) -> None:
    figures: dict[str, Any] = {
        "step": run.steps,
        "minutes": f"{run.spent_s / 60:.1f}",
        "tokens": f"{run.tokens / 1e6:.2f}M",
        "tokens/s": f"{run.tokens / run.spent_s:.0f}",
        "rate": f"{factor:.2f}",
        "loss": f"{smooth:.4f}",
        "fresh samples": f"{valid:.4f}",
    }
    print(" ".join(f"{name} {value}" for name, value in figures.items()), flush=True)


if __name__ == "__main__":
    main()
