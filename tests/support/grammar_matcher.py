"""xgrammar as a judge of texts, byte by byte, and a walker through what it allows.

Where torch is missing, stand-ins for the names that xgrammar looks up at import are put in its
place: parsing, compiling and matching need none of it.
"""

import importlib.machinery
import importlib.util
import random
import sys
import types
from functools import cache
from typing import Any

import numpy as np

_DTYPES = [
    *("int8", "int16", "int32", "int64", "long", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "half", "float32", "float", "float64", "double", "bfloat16", "bool", "short"),
    *("int", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
    *("float8_e8m0fnu", "float4_e2m1fn_x2", "complex64", "complex128"),
]
_TRANSFORMERS = [
    *("AutoTokenizer", "AutoConfig", "PreTrainedTokenizerBase", "PreTrainedTokenizerFast"),
    "LogitsProcessor",
]
_END = 256


def _stand_in(name: str, members: dict[str, Any]) -> None:
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    for member, value in members.items():
        setattr(module, member, value)
    sys.modules[name] = module


@cache
def _xgrammar() -> tuple[Any, Any]:
    """The module and a compiler over a vocabulary of single bytes."""
    if importlib.util.find_spec("torch") is None:
        tensor = type("Tensor", (), {})
        members: dict[str, Any] = {name: type(name, (), {})() for name in _DTYPES}
        members |= {"Tensor": tensor, "LongTensor": tensor, "FloatTensor": tensor}
        members |= {"dtype": type("dtype", (), {}), "device": type("device", (), {})}
        members |= {"__version__": "0", "tensor": lambda *_, **__: None}
        members["cuda"] = types.SimpleNamespace(is_available=lambda: False)
        _stand_in("torch", members)
    if importlib.util.find_spec("transformers") is None:
        _stand_in("transformers", {name: type(name, (), {}) for name in _TRANSFORMERS})
    import xgrammar

    vocabulary = [bytes([byte]) for byte in range(_END)] + [b"</s>"]
    tokens = xgrammar.TokenizerInfo(
        vocabulary, vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[_END]
    )
    return xgrammar, xgrammar.GrammarCompiler(tokens, max_threads=1, cache_enabled=False)


def token_matcher(grammar: str, tokens: list[bytes]) -> tuple[Any, np.ndarray]:
    """A matcher of a grammar over these tokens, and a mask for what it offers."""
    module, _ = _xgrammar()
    vocabulary = module.TokenizerInfo(
        [*tokens, b"</s>"], vocab_type=module.VocabType.RAW, stop_token_ids=[len(tokens)]
    )
    compiler = module.GrammarCompiler(vocabulary, max_threads=1, cache_enabled=False)
    compiled = compiler.compile_grammar(module.Grammar.from_ebnf(grammar))
    mask = np.full((1, len(tokens) // 32 + 1), -1, dtype=np.int32)
    return module.GrammarMatcher(compiled), mask


class TokenWalks:
    """Walks through what grammars offer of a vocabulary."""

    def __init__(self, tokens: list[bytes]) -> None:
        self._module, _ = _xgrammar()
        self._tokens = tokens
        self._end = len(tokens)
        vocabulary = self._module.TokenizerInfo(
            [*tokens, b"</s>"], vocab_type=self._module.VocabType.RAW, stop_token_ids=[self._end]
        )
        self._compiler = self._module.GrammarCompiler(
            vocabulary, max_threads=1, cache_enabled=False
        )
        self._closing = np.array([bool(set(token) & set(b'"}]')) for token in tokens] + [True])

    def walks(
        self, grammar: str, chance: random.Random, count: int, steps_max: int = 150
    ) -> list[bytes]:
        """Texts found by taking offered tokens by chance, those that ended in time.

        Raises: AssertionError, where nothing is offered, or what is offered is not taken.
        """
        compiled = self._compiler.compile_grammar(self._module.Grammar.from_ebnf(grammar))
        made = [self._walk(compiled, chance, steps_max) for _ in range(count)]
        return [text for text in made if text is not None]

    def _walk(self, compiled: Any, chance: random.Random, steps_max: int) -> bytes | None:
        matcher = self._module.GrammarMatcher(compiled)
        mask = np.full((1, self._end // 32 + 1), -1, dtype=np.int32)
        text = b""
        for _ in range(steps_max):
            mask.fill(-1)
            matcher.fill_next_token_bitmask(mask)
            bits = np.unpackbits(mask.view(np.uint8)[0], bitorder="little")[: self._end + 1]
            offered = bits.nonzero()[0]
            assert len(offered), f"nothing is offered after {text!r}"
            closing = offered[self._closing[offered]]
            token = int(
                chance.choice(closing if len(closing) and chance.random() < 0.4 else offered)
            )
            assert matcher.accept_token(token), f"a token is not taken after {text!r}"
            if token == self._end:
                return text
            text += self._tokens[token]
        return None


class GrammarMatcher:
    """The texts of one grammar: EBNF, or one of xgrammar's."""

    def __init__(self, grammar: Any) -> None:
        self._module, compiler = _xgrammar()
        if isinstance(grammar, str):
            grammar = self._module.Grammar.from_ebnf(grammar)
        self._compiled = compiler.compile_grammar(grammar)
        self._matcher = self._module.GrammarMatcher(
            self._compiled, terminate_without_stop_token=True
        )

    def accepts(self, text: bytes) -> bool:
        """Whether the grammar derives the whole text."""
        self._matcher.reset()
        return bool(self._matcher.accept_string(text)) and bool(self._matcher.is_terminated())

    def walk(self, chance: random.Random, bytes_max: int = 400) -> bytes | None:
        """A text found by taking allowed bytes by chance; none where it grew too long."""
        matcher = self._module.GrammarMatcher(self._compiled)
        mask = np.full((1, 9), -1, dtype=np.int32)
        text = bytearray()
        while len(text) < bytes_max:
            mask.fill(-1)
            matcher.fill_next_token_bitmask(mask)
            bits = np.unpackbits(mask.view(np.uint8)[0], bitorder="little")[: _END + 1]
            allowed = [int(token) for token in bits.nonzero()[0]]
            closing = [token for token in allowed if token == _END or token in b'"}]']
            token = chance.choice(closing if closing and chance.random() < 0.4 else allowed)
            if token == _END:
                return bytes(text)
            if not matcher.accept_token(token):
                raise AssertionError(f"dead end after {bytes(text)!r}")
            text.append(token)
        return None
