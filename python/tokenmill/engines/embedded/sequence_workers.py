"""The bridge between the event loop and mistral.rs, whose streams are blocking iterators.

A sequence is one generated answer; it runs on a thread of its own, out of a fixed set. What does
not find a thread waits here, never inside mistral.rs, and the queue is bounded. A thread puts what
comes into its request's mailbox and wakes the loop once for all that is ready. Closing a
generation drops its iterators at the next token: that is how mistral.rs is told to stop.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from tokenmill.engines.embedded.errors import BadRequest, Busy, EngineError
from tokenmill.engines.embedded.pieces import Piece

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 1
NO_FINISH = "the model stopped without a finish reason"


Item = Piece | EngineError
Opener = Callable[[], Iterator[Piece]]


class Mailbox:
    """Items from many threads to one reader on the loop; one wake-up for all that is ready."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[tuple[int, Item]] = deque()
        self._is_signalled = False
        self._reader: asyncio.Future[None] | None = None

    def put(self, index: int, item: Item) -> None:
        """From any thread. Never waits; a sequence is bounded by its max_tokens."""
        self._items.append((index, item))
        if not self._is_signalled:
            self._is_signalled = True
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:  # The loop is closed: the process is ending.
                logger.debug("an answer came after the end of the loop")

    def _wake(self) -> None:
        # First the flag, then the items: what is put from here on signals again.
        self._is_signalled = False
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def take(self) -> list[tuple[int, Item]]:
        """All items that are there, at least one."""
        while not self._items:
            self._reader = self._loop.create_future()
            await self._reader
        taken = []
        while self._items:
            taken.append(self._items.popleft())
        return taken


class Generation:
    """The sequences of one request. Iterate with `take` until `is_finished`; always `close`."""

    def __init__(self, count: int, close: Callable[["Generation"], None]) -> None:
        self.mailbox = Mailbox()
        self.is_closed = False
        self.futures: list[Future[None]] = []
        self._open = set(range(count))
        self._close = close

    @property
    def is_finished(self) -> bool:
        """Whether every sequence has given its finish reason."""
        return not self._open

    async def take(self) -> list[tuple[int, Piece]]:
        """The pieces that are ready, each with the index of its sequence, at least one.

        Raises: EngineError, as soon as one of the sequences failed.
        """
        pieces = []
        for index, item in await self.mailbox.take():
            if isinstance(item, EngineError):
                raise item
            if item.finish is not None:
                self._open.discard(index)
            pieces.append((index, item))
        return pieces

    def close(self) -> None:
        """Stops what is still running or waiting; harmless when all is finished."""
        if not self.is_closed:
            self.is_closed = True
            self._close(self)

    def __enter__(self) -> "Generation":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Sequences:
    """The threads, and the gauges of what runs and what waits."""

    def __init__(self, running_max: int, waiting_max: int) -> None:
        self.running = 0
        self.waiting = 0
        self.running_max = running_max
        self._admitted_max = running_max + waiting_max
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(running_max, thread_name_prefix="sequence")

    def start(self, openers: Sequence[Opener]) -> Generation:
        """Starts or queues one sequence for each opener. Raises: Busy, when the queue is full."""
        if len(openers) > self._admitted_max:
            raise BadRequest(f"at most {self._admitted_max} answers at once", param="n")
        with self._lock:
            if self.running + self.waiting + len(openers) > self._admitted_max:
                raise Busy(
                    "The engine's queue is full. Try again in a moment.",
                    retry_after_s=RETRY_AFTER_S,
                )
            self.waiting += len(openers)
        generation = Generation(len(openers), self._cancel)
        for index, opener in enumerate(openers):
            generation.futures.append(self._threads.submit(self._run, generation, index, opener))
        return generation

    def _cancel(self, generation: Generation) -> None:
        cancelled = sum(future.cancel() for future in generation.futures)
        with self._lock:
            self.waiting -= cancelled

    def _run(self, generation: Generation, index: int, opener: Opener) -> None:
        with self._lock:
            self.waiting -= 1
            self.running += 1
        last: Item = EngineError(NO_FINISH)
        try:
            if not generation.is_closed:
                self._relay(generation, index, opener)
                return
        except EngineError as error:
            last = error
        except Exception:
            logger.exception("a sequence failed")
            last = EngineError("The engine failed; its log says why.")
        finally:
            with self._lock:
                self.running -= 1
        generation.mailbox.put(index, last)

    @staticmethod
    def _relay(generation: Generation, index: int, opener: Opener) -> None:
        """Passes pieces on until the last one or until the generation is closed."""
        pieces = opener()
        for piece in pieces:
            if generation.is_closed:
                return
            generation.mailbox.put(index, piece)
            if piece.finish is not None:
                return
        raise EngineError(NO_FINISH)
