"""Three ways from a JSON Schema to what an engine asks for each token: ours, xgrammar's own, and
llguidance's. Each converts, judges texts byte by byte, and gives masks of a vocabulary."""

import base64
import importlib
import json
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from tests.support import grammar_matcher
from tokenmill import grammar

TOKEN_BYTES_MAX = 24


class Refused(Exception):
    """The schema has no grammar there; the words say why."""


class Vocabulary:
    """The tokens of a model."""

    def __init__(self, tokens: list[bytes], special_count: int) -> None:
        self.tokens, self.special_count = tokens, special_count
        self._numbers: dict[bytes, int] = {}
        for number in range(special_count, len(tokens)):
            self._numbers.setdefault(tokens[number], number)

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a tekken file."""
        read = json.loads(path.read_bytes())
        special = read["config"]["default_num_special_tokens"]
        count = read["config"]["default_vocab_size"] - special
        tokens = [f"<special {number}>".encode() for number in range(special)]
        tokens += [base64.b64decode(token["token_bytes"]) for token in read["vocab"][:count]]
        return cls(tokens, special)

    def cut(self, text: bytes) -> list[int]:
        """The text in tokens, the longest first."""
        found, at = [], 0
        while at < len(text):
            ends = range(min(len(text), at + TOKEN_BYTES_MAX), at, -1)
            end = next(end for end in ends if text[at:end] in self._numbers)
            found.append(self._numbers[text[at:end]])
            at = end
        return found


class Matcher(Protocol):
    """Judges texts."""

    def accepts(self, text: bytes) -> bool:
        """Whether the grammar derives the whole text."""


class Masks(Protocol):
    """A grammar that is loaded for a vocabulary."""

    def times_ms(self, tokens: list[int]) -> list[float]:
        """How long each mask took on the way through these tokens, as far as they are allowed."""


class Engine(Protocol):
    """One way."""

    def convert(self, schema: str) -> Any:
        """What the engine loads. Raises: Refused."""

    def matcher(self, made: Any) -> Matcher:
        """A judge over single bytes."""

    def masks(self, made: Any) -> Masks:
        """The same for the vocabulary."""


def timed_ms(work: Callable[[], Any]) -> tuple[float, Any]:
    """The milliseconds that it took, and what came of it."""
    began = time.perf_counter()
    made = work()
    return 1e3 * (time.perf_counter() - began), made


def _times_ms(
    tokens: Iterable[int], fill: Callable[[], object], take: Callable[[int], bool]
) -> list[float]:
    found = []
    for token in tokens:
        began = time.perf_counter()
        fill()
        found.append(1e3 * (time.perf_counter() - began))
        if not take(token):
            break
    return found


class _XgrammarMasks:
    def __init__(self, made: Any, tokens: Any) -> None:
        self._module, _ = grammar_matcher._xgrammar()
        compiler = self._module.GrammarCompiler(tokens, max_threads=1, cache_enabled=False)
        self._compiled = compiler.compile_grammar(made)
        self._mask = np.full((1, (tokens.vocab_size + 31) // 32), -1, dtype=np.int32)

    def times_ms(self, tokens: list[int]) -> list[float]:
        matcher = self._module.GrammarMatcher(self._compiled)
        fill = partial(matcher.fill_next_token_bitmask, self._mask)
        return _times_ms(tokens, fill, matcher.accept_token)


class Xgrammar:
    """xgrammar's own reading of JSON Schema, as vLLM uses it."""

    def __init__(self, vocabulary: Vocabulary | None) -> None:
        self._module, _ = grammar_matcher._xgrammar()
        # Made once: it sorts all tokens.
        self._tokens = vocabulary and self._module.TokenizerInfo(
            vocabulary.tokens, vocab_type=self._module.VocabType.RAW, stop_token_ids=[2]
        )

    def convert(self, schema: str) -> Any:
        """xgrammar's grammar. Raises: Refused."""
        try:
            return self._module.Grammar.from_json_schema(schema, strict_mode=True)
        except RuntimeError as error:  # C++'s have no class of their own
            raise Refused("refused") from error

    def matcher(self, made: Any) -> Matcher:
        """As `Engine`."""
        return grammar_matcher.GrammarMatcher(made)

    def masks(self, made: Any) -> Masks:
        """As `Engine`."""
        return _XgrammarMasks(made, self._tokens)


class Tokenmill(Xgrammar):
    """Ours, loaded by xgrammar."""

    def convert(self, schema: str) -> Any:
        """The text of the grammar. Raises: Refused."""
        made = grammar.compile(schema.encode(errors="surrogatepass"))
        if isinstance(made, grammar.SchemaRefusal):
            raise Refused(made.keyword or made.reason)
        return made.text

    def masks(self, made: Any) -> Masks:
        """As `Engine`."""
        return super().masks(self._module.Grammar.from_ebnf(made))


class Llguidance:
    """llguidance's; it does its work while it gives masks."""

    def __init__(self, vocabulary: Vocabulary | None) -> None:
        self._module = importlib.import_module("llguidance")
        self._bytes = self._module.LLTokenizer("byte")
        self._tokens = vocabulary and self._module.LLTokenizer(
            self._module.TokenizerWrapper(_Wrapped(vocabulary))
        )

    def convert(self, schema: str) -> Any:
        """Its grammar. Raises: Refused."""
        made = self._module.LLMatcher.grammar_from_json_schema(schema)
        if self._matcher(made, self._bytes).is_error():
            raise Refused("refused")
        return made

    def matcher(self, made: Any) -> Matcher:
        """As `Engine`."""
        return _LlguidanceTexts(self._matcher(made, self._bytes))

    def masks(self, made: Any) -> Masks:
        """As `Engine`."""
        return _LlguidanceMasks(self._matcher(made, self._tokens))

    def _matcher(self, made: Any, tokens: Any) -> Any:
        return self._module.LLMatcher(tokens, made, log_level=0)


class _Wrapped:
    """A vocabulary as llguidance asks for it."""

    eos_token_id, bos_token_id = 2, 1

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.tokens = vocabulary.tokens
        self.special_token_ids = list(range(vocabulary.special_count))
        self._cut = vocabulary.cut

    def __call__(self, text: str | bytes) -> list[int]:
        return self._cut(text.encode() if isinstance(text, str) else text)


class _LlguidanceTexts:
    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def accepts(self, text: bytes) -> bool:
        matcher = self._matcher.deep_copy()
        taken = matcher.try_consume_tokens(list(text))
        return not matcher.is_error() and taken == len(text) and bool(matcher.is_accepting())


class _LlguidanceMasks:
    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def times_ms(self, tokens: list[int]) -> list[float]:
        matcher = self._matcher.deep_copy()

        def take(token: int) -> bool:
            return matcher.consume_token(token) and not matcher.is_error()

        return _times_ms(tokens, matcher.compute_bitmask, take)


ENGINES: dict[str, Callable[[Vocabulary | None], Engine]] = {
    "tokenmill": Tokenmill,
    "xgrammar": Xgrammar,
    "llguidance": Llguidance,
}
