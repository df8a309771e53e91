"""A loaded model: the only module that calls mistral.rs once it runs.

Every call of the Runner goes through one lock, because its methods borrow it exclusively; a
streaming call returns at once and its iterator needs no lock. So everything is streamed, and the
lock is never held for long. Prompts come rendered: the template is `{{ messages[0].content }}`.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tokenmill.engines.embedded.adaptation import TagSpelling
from tokenmill.engines.embedded.errors import BadRequest, from_mistralrs
from tokenmill.engines.embedded.pieces import Likelihood, Piece, TokenLikelihood
from tokenmill.engines.embedded.prompts import PromptTemplate

PASSTHROUGH_TEMPLATE = Path(__file__).with_name("passthrough.jinja")


class ModelCard(Struct, frozen=True, kw_only=True):
    """What is known of the loaded model before anything is asked of it."""

    id: str
    root: str  # folder or file it was loaded from
    context_tokens: int
    vocabulary_size: int = 0  # 0: unknown
    defaults: dict[str, float] = {}  # sampling defaults of generation_config.json
    fingerprint: str = "fp_tokenmill"
    adapters_max: int = 0  # 0: this model takes no adapters


class Adapter(Struct, frozen=True, kw_only=True):
    """A loaded LoRA adapter."""

    name: str
    path: str
    created: int
    rank: int


class ModelRunner:
    """The Runner behind its lock, with the prompt template that belongs to the model."""

    def __init__(
        self, runner: Any, card: ModelCard, template: PromptTemplate, spelling: TagSpelling
    ) -> None:
        self.card = card
        self.template = template
        self.adapters: dict[str, Adapter] = {}
        self._runner = runner
        self._spelling = spelling
        self._lock = threading.Lock()
        self._prefix = self._special_prefix()

    def _special_prefix(self) -> str:
        """What the tokenizer puts before every text: a token for its beginning, or nothing."""
        plain, special = self.tokenize("a", add_special_tokens=False), self.tokenize("a")
        size = len(special) - len(plain)
        return self.detokenize(special[:size]) if size > 0 and special[size:] == plain else ""

    def without_prefix(self, prompt: str) -> str:
        """A rendered prompt without the beginning that mistral.rs will put before it again."""
        return prompt.removeprefix(self._prefix)

    def tokenize(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """The token ids of `text`; blocks for as long as that takes."""
        spelled = self._spelling.write(text)
        with self._lock:
            ids: list[int] = self._runner.tokenize_text(spelled, add_special_tokens, None)
        return ids

    def detokenize(self, tokens: list[int]) -> str:
        """The text of token ids, special ones too. Raises: BadRequest for an unknown id."""
        size = self.card.vocabulary_size
        if size and any(token >= size for token in tokens):
            raise BadRequest(f"token ids of this model are below {size}")
        try:
            with self._lock:
                text: str = self._runner.detokenize_text(tokens, False)
        except ValueError as error:
            raise from_mistralrs(error) from None
        return self._spelling.read(text)

    def stream(self, prompt: str, fields: dict[str, Any], *, keeps_blank: bool) -> Iterator[Piece]:
        """The pieces of one answer to a rendered prompt; blocks between them.

        mistral.rs cuts blanks from the first piece; `keeps_blank` puts them back, which needs the
        likelihood of its token. Raises: EngineError, nearly always at the first piece.
        """
        wants_likelihood = fields.get("logprobs", False)
        fields = fields | {"logprobs": wants_likelihood or keeps_blank}
        restores_blank = keeps_blank
        try:
            for chunk in self._chunks(prompt, fields):
                piece = _piece(chunk, restores_blank, wants_likelihood=wants_likelihood)
                yield replace(piece, text=self._spelling.read(piece.text))
                restores_blank = False
        except ValueError as error:
            raise from_mistralrs(error, has_grammar="grammar" in fields) from None

    def _chunks(self, prompt: str, fields: dict[str, Any]) -> Iterator[Any]:
        from mistralrs import ChatCompletionRequest

        if "grammar" in fields:
            fields = fields | {"grammar": self._spelling.write(fields["grammar"])}
        message = {"role": "user", "content": self._spelling.write(prompt)}
        request = ChatCompletionRequest(messages=[message], model="default", stream=True, **fields)
        with self._lock:
            chunks: Iterator[Any] = self._runner.send_chat_completion_request(request)
        return chunks

    def load_adapter(self, adapter: Adapter, *, in_place: bool) -> Adapter:
        """Loads the PEFT folder `adapter.path`. Raises: LoraAdapterError, with its code."""
        with self._lock:
            info = self._runner.load_lora_adapter(adapter.name, adapter.path, load_inplace=in_place)
        loaded = Adapter(
            name=adapter.name, path=adapter.path, created=adapter.created, rank=info.rank
        )
        self.adapters = self.adapters | {adapter.name: loaded}  # others may be reading the old one
        return loaded

    def unload_adapter(self, name: str) -> None:
        """Forgets an adapter; answers that use it end as they began. Raises: LoraAdapterError."""
        with self._lock:
            self._runner.unload_lora_adapter(name)
        self.adapters = {key: value for key, value in self.adapters.items() if key != name}


def _piece(chunk: Any, restores_blank: bool, *, wants_likelihood: bool) -> Piece:
    choice = chunk.choices[0]
    text = choice.delta.content or ""
    if restores_blank and choice.logprobs is not None:
        text = _with_blank(text, choice.logprobs)
    return Piece(
        text=text,
        finish=choice.finish_reason,
        stop_text=choice.stop_sequence,
        likelihood=_likelihood(choice.logprobs) if wants_likelihood else None,
        completion_tokens=chunk.usage.completion_tokens if chunk.usage else None,
    )


def _with_blank(text: str, logprob: Any) -> str:
    """`text` with the blanks in front that its first token had."""
    token = bytes(logprob.bytes or b"").decode(errors="replace")
    return token if token.lstrip() == text else text


def _likelihood(logprob: Any) -> TokenLikelihood | None:
    if logprob is None:
        return None
    top = tuple(Likelihood(each.bytes or "", each.logprob) for each in logprob.top_logprobs or ())
    return TokenLikelihood(Likelihood(logprob.token, logprob.logprob), top)
