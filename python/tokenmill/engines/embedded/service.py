"""What the endpoints share: the loaded model, its threads, the counters, and how a request starts.

A request goes: decode, render, count its tokens (on a thread: long texts take a while), check them
against the context, start its sequences, wait for the first piece. Whatever mistral.rs refuses, it
refuses there, so a refusal still has its status.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct

from tokenmill import clock
from tokenmill.engines.embedded.embedder import Embedder
from tokenmill.engines.embedded.errors import BadRequest, Busy, NotFound, PromptTooLong
from tokenmill.engines.embedded.metrics import Metrics
from tokenmill.engines.embedded.runner import ModelRunner
from tokenmill.engines.embedded.runs import Run
from tokenmill.engines.embedded.sampling import completion_tokens_max, is_repeatable
from tokenmill.engines.embedded.sequence_workers import Sequences
from tokenmill.ids import base62

T = TypeVar("T")

# No token of a known tokenizer is longer; so a text of more characters than this a token of the
# context cannot fit, and is refused before anybody counts it.
TOKEN_CHARACTERS_MAX = 128

LOAD_WAIT_S = 5.0  # the demo model takes a tenth of it; who loads a large one is told so
LOAD_POLL_S = 0.02


class Answer(Struct, frozen=True):
    """A whole answer."""

    body: bytes
    status: int = 200
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class EventStream(Struct, frozen=True):
    """An answer that is sent as it comes. Closing `events` stops what makes them."""

    events: AsyncGenerator[bytes, None]


class Prompt(Struct, frozen=True):
    """A rendered prompt and how many tokens it has."""

    text: str
    tokens: int


class Wanted(Struct, frozen=True, kw_only=True):
    """A checked request: prompts, and how each is to be continued, `choices` times each."""

    model: ModelRunner
    prompts: list[Prompt]
    choices: int
    fields: dict[str, Any]
    max_tokens: int | None
    min_tokens: int | None
    keeps_blank: bool

    @property
    def repeatable_fingerprint(self) -> str:
        """The model's fingerprint, if the same request gives the same answer; else empty."""
        return self.model.card.fingerprint if is_repeatable(self.fields) else ""

    def fields_of(self, prompt: Prompt) -> dict[str, Any]:
        """What mistral.rs is told for a prompt. Raises: PromptTooLong, BadRequest."""
        context = self.model.card.context_tokens
        allowed = completion_tokens_max(self.max_tokens, prompt.tokens, context, self.min_tokens)
        return self.fields | {"max_tokens": allowed}


class Identity(Struct, frozen=True, kw_only=True):
    """What every part of one answer repeats."""

    id: str
    created: int
    model: str
    system_fingerprint: str


class Service:
    """The state of the process. `model` is None until it is loaded."""

    def __init__(self, sequences: Sequences, embedder: Embedder | None) -> None:
        self.model: ModelRunner | None = None
        self.embedder = embedder
        self.started_s = clock.wall_s()
        self.sequences = sequences
        self.metrics = Metrics()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="tokenize")

    def loaded(self) -> ModelRunner:
        """The model. Raises: Busy, while it loads."""
        if self.model is None:
            raise Busy("The model is loading. Try again in a moment.", retry_after_s=1)
        return self.model

    async def wait_loaded(self) -> None:
        """Returns when the model is there, or after a few seconds: then `loaded` says that it is
        not. An engine that is replaced so delays requests and refuses none."""
        waited_s = 0.0
        while self.model is None and waited_s < LOAD_WAIT_S:
            await asyncio.sleep(LOAD_POLL_S)
            waited_s += LOAD_POLL_S

    def embeds(self, name: str | None) -> bool:
        """Whether `name` is the embedding model."""
        return self.embedder is not None and name == self.embedder.id

    def generates(self, name: str) -> bool:
        """Whether `name` is the model or one of its adapters."""
        model = self.loaded()
        return name == model.card.id or name in model.adapters

    def resolve(self, name: str | None) -> tuple[ModelRunner, str, str | None]:
        """The model that answers to `name`, that name, and the adapter if it is one's.

        Raises: NotFound, Busy.
        """
        model = self.loaded()
        if name is None or name == model.card.id:
            return model, model.card.id, None
        if name in model.adapters:
            return model, name, name
        if self.embeds(name):
            raise BadRequest(f"`{name}` makes embeddings only", param="model")
        raise NotFound(f"The model `{name}` does not exist.", param="model")

    async def on_thread(self, call: "partial[T]") -> T:
        """The result of a call that may take a while."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def measure(self, model: ModelRunner, texts: Sequence[str]) -> list[Prompt]:
        """The prompts with their token counts. Raises: PromptTooLong, BadRequest."""
        context = model.card.context_tokens
        for text in texts:
            if not text:
                raise BadRequest("the prompt is empty", param="prompt")
            if len(text) > context * TOKEN_CHARACTERS_MAX:
                estimate = len(text) // TOKEN_CHARACTERS_MAX
                raise PromptTooLong(estimate, context, is_estimate=True)
        counts = await self.on_thread(partial(_count, model, texts))
        return [Prompt(text, count) for text, count in zip(texts, counts, strict=True)]

    def start(self, wanted: "Wanted") -> Run:
        """Starts the sequences of one request. Raises: Busy, when the queue is full."""
        starts = [(prompt, wanted.fields_of(prompt)) for prompt in wanted.prompts]
        openers = [
            partial(wanted.model.stream, prompt.text, fields, keeps_blank=wanted.keeps_blank)
            for prompt, fields in starts
            for _ in range(wanted.choices)
        ]
        generation = self.sequences.start(openers)
        counts = [prompt.tokens for prompt in wanted.prompts]
        return Run(generation, self.metrics, counts, wanted.choices, wanted.fields.get("adapter"))


def identify(
    prefix: str, model: str, request_id: str, *, repeatable_fingerprint: str = ""
) -> Identity:
    """A new answer's identity.

    mistral.rs takes no seed for a request. OpenAI's word for "the same seed may now give another
    answer" is another `system_fingerprint`: so a sampled answer has one of its own, and only an
    answer that the same request gives again has the model's.
    """
    return Identity(
        id=f"{prefix}-{request_id or base62(24)}",
        created=clock.wall_s(),
        model=model,
        system_fingerprint=repeatable_fingerprint or f"fp_{base62(10)}",
    )


def _count(model: ModelRunner, texts: Sequence[str]) -> list[int]:
    return [len(model.tokenize(text)) for text in texts]
