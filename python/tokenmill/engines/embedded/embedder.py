"""The embedding model behind a thread of its own and a bounded queue."""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tokenmill.engines.embedded.errors import BadRequest, Busy, EngineError
from tokenmill.engines.embedded.minilm import Abandoned, MiniLm

logger = logging.getLogger(__name__)

MODEL_ID = "all-MiniLM-L6-v2"
INPUT_TOKENS_MAX = 8_192
REQUEST_TOKENS_MAX = 300_000  # OpenAI's bound for one request
WAITING_MAX = 64


class Embedder:
    """The embedding model on a thread of its own; loaded when first needed or when time allows."""

    def __init__(self, threads: int) -> None:
        self.id = MODEL_ID
        self.context_tokens = INPUT_TOKENS_MAX
        self._model_threads = threads
        self._model: MiniLm | None = None
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embed")

    def load_in_background(self) -> None:
        """Begins to load; what is asked meanwhile waits for it."""
        self._thread.submit(self._loaded)

    def _loaded(self) -> MiniLm:
        if self._model is None:
            try:
                self._model = MiniLm.load(self._model_threads)
            except ImportError as error:
                logger.warning("embeddings are not available: %s", error)
                raise EngineError(f"the embedding model is not installed: {error}") from None
        return self._model

    async def tokenize(self, text: str) -> list[int]:
        """The token ids of `text`."""
        call = partial(self._tokenize, [text])
        (ids,) = await asyncio.get_running_loop().run_in_executor(self._thread, call)
        return ids

    def _tokenize(self, texts: list[str]) -> list[list[int]]:
        return self._loaded().tokenize(texts)

    async def embed(self, inputs: list[str] | list[list[int]]) -> tuple[list[bytes], int]:
        """The vectors of `inputs`, and how many tokens they have. Raises: Busy, BadRequest."""
        if self._waiting >= WAITING_MAX:
            raise Busy("The embedding queue is full. Try again in a moment.", retry_after_s=1)
        self._waiting += 1
        abandoned = threading.Event()
        try:
            call = partial(self._embed, inputs, abandoned)
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        finally:
            abandoned.set()
            self._waiting -= 1

    def _embed(
        self, inputs: list[str] | list[list[int]], abandoned: threading.Event
    ) -> tuple[list[bytes], int]:
        model = self._loaded()
        texts = [each for each in inputs if isinstance(each, str)]
        lists = [each for each in inputs if not isinstance(each, str)]
        tokens = model.tokenize(texts) if texts else lists
        check_lengths(tokens)
        try:
            vectors = model.embed(tokens, abandoned.is_set)
        except Abandoned:
            vectors = []  # Nobody reads them.
        return vectors, sum(map(len, tokens))


def check_lengths(tokens: list[list[int]]) -> None:
    """Raises: BadRequest for inputs, or a request, of too many tokens."""
    for index, each in enumerate(tokens):
        if len(each) > INPUT_TOKENS_MAX:
            raise input_too_long(index, len(each))
    if sum(map(len, tokens)) > REQUEST_TOKENS_MAX:
        raise BadRequest(f"at most {REQUEST_TOKENS_MAX} tokens in one request", param="input")


def input_too_long(index: int, tokens: int) -> BadRequest:
    return BadRequest(
        f"This model's maximum context length is {INPUT_TOKENS_MAX} tokens. However, input {index} "
        f"has at least {tokens} tokens. Please reduce its length.",
        param="input_tokens",
    )
