"""A request's sequences while they run: their pieces, and what of them is counted.

The endpoints read pieces from here. Whatever way a run ends (finished, failed, abandoned), closing
it once stops the sequences and writes its numbers.
"""

import contextlib
from collections import Counter
from types import TracebackType

from tokenmill.clock import monotonic_ns
from tokenmill.engines.embedded.errors import EngineError
from tokenmill.engines.embedded.metrics import Metrics
from tokenmill.engines.embedded.pieces import Piece
from tokenmill.engines.embedded.sequence_workers import Generation

NANOS_PER_S = 1_000_000_000


class Run:
    """The sequences of one request: `choices` of each prompt, in the order of the prompts."""

    def __init__(
        self,
        generation: Generation,
        metrics: Metrics,
        prompt_tokens: list[int],
        choices: int,
        adapter: str | None,
    ) -> None:
        self.prompt_tokens = prompt_tokens
        self.choices = choices
        self.tokens = [0] * (len(prompt_tokens) * choices)  # generated so far, at least
        self._generation = generation
        self._metrics = metrics
        self._adapter = adapter
        self._finishes: list[str] = []
        self._started_ns = monotonic_ns()
        self._has_begun = False
        self._is_closed = False
        self._ending = "abort"  # of what is unfinished when this is closed
        metrics.held_tokens += sum(prompt_tokens) * choices
        if adapter:
            metrics.running_adapters[adapter] += 1

    @property
    def is_finished(self) -> bool:
        """Whether every sequence has ended."""
        return self._generation.is_finished

    def prompt_tokens_of(self, index: int) -> int:
        """The tokens of the prompt that sequence `index` continues."""
        return self.prompt_tokens[index // self.choices]

    async def take(self) -> list[tuple[int, Piece]]:
        """The pieces that are ready, at least one; a run whose take fails is closed."""
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self.close)
            try:
                pieces = await self._generation.take()
            except EngineError:
                self._ending = "error"
                raise
            on_failure.pop_all()
        if not self._has_begun:
            self._has_begun = True
            self._metrics.first_token.add(self._age_s())
            self._metrics.prompt_tokens += sum(self.prompt_tokens)
        for index, piece in pieces:
            self._count(index, piece)
        return pieces

    def _count(self, index: int, piece: Piece) -> None:
        # A piece is one token or more; how many is known at the end only.
        known = piece.completion_tokens
        total = self.tokens[index] + 1 if known is None else known
        self._metrics.generation_tokens += total - self.tokens[index]
        self._metrics.held_tokens += total - self.tokens[index]
        self.tokens[index] = total
        if piece.finish is not None:
            self._finishes.append(piece.finish)

    def _age_s(self) -> float:
        return (monotonic_ns() - self._started_ns) / NANOS_PER_S

    def close(self) -> None:
        """Stops what still runs and counts how it ended; harmless the second time."""
        if self._is_closed:
            return
        self._is_closed = True
        self._generation.close()
        self._metrics.held_tokens -= sum(self.prompt_tokens) * self.choices + sum(self.tokens)
        if self._adapter:
            self._metrics.running_adapters -= Counter({self._adapter: 1})
        unfinished = len(self.tokens) - len(self._finishes)
        self._metrics.finished.update([*self._finishes, *[self._ending] * unfinished])
        self._metrics.whole_answer.add(self._age_s())

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
