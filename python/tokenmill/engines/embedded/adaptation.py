"""Model folders as mistral.rs wants them: the same files, but for what it would misread.

Two things are put right, in a scratch folder of links, never in the model's own. transformers 5
writes `rope_theta` where mistral.rs does not look. And tool tags that are tokens of their own
vanish from the answers and cannot be forced by a grammar, because mistral.rs takes every added
token in angle brackets for a control token: so they get another spelling there, and `TagSpelling`
translates at the border.
"""

import json
from pathlib import Path
from typing import Any

from tokenmill.engines.embedded.model_source import ModelSource, read_json
from tokenmill.engines.embedded.tool_parser import CLOSE, OPEN

ALIASES = {OPEN: "⟦tool_call⟧", CLOSE: "⟦/tool_call⟧"}  # rare, and not in angle brackets
ROPE_THETA = 10_000.0  # of configs that do not say


class TagSpelling:
    """Tool tags in the spelling of the adapted tokenizer, and back. Nothing to do for most."""

    def __init__(self, tags: tuple[str, ...] = ()) -> None:
        self._pairs = [(tag, ALIASES[tag]) for tag in tags]

    def write(self, text: str) -> str:
        """`text` as the adapted tokenizer reads it."""
        for tag, alias in self._pairs:
            text = text.replace(tag, alias)
        return text

    def read(self, text: str) -> str:
        """Generated text as everybody else spells it; a tag is one token, so it is never cut."""
        for tag, alias in self._pairs:
            text = text.replace(alias, tag)
        return text


def adapt(source: ModelSource, scratch: Path) -> tuple[Path, TagSpelling]:
    """The model's folder if it is fine as it is, else `scratch`, filled; and the tags' spelling."""
    replaced: dict[str, dict[str, Any]] = {}
    if flat := with_flat_rope(source.config):
        replaced["config.json"] = flat
    tokenizer = _tokenizer_with_tags(source.path / "tokenizer.json")
    if tags := with_aliased_tags(tokenizer):
        replaced["tokenizer.json"] = tokenizer
    if not replaced:
        return source.path, TagSpelling()
    for file in source.path.iterdir():
        if file.name not in replaced:
            (scratch / file.name).symlink_to(file.resolve())
    for name, value in replaced.items():
        (scratch / name).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return scratch, TagSpelling(tags)


def with_flat_rope(config: dict[str, Any]) -> dict[str, Any] | None:
    """The config with `rope_theta` at the top level; None if nothing is nested."""
    nested = config.get("rope_parameters")
    if not isinstance(nested, dict) or "rope_theta" in config:
        return None
    flat = config | {"rope_theta": nested.get("rope_theta", ROPE_THETA)}
    if nested.get("rope_type", "default") != "default":
        flat.setdefault("rope_scaling", nested)
    return flat


def with_aliased_tags(tokenizer: dict[str, Any]) -> tuple[str, ...]:
    """The tags that are tokens of their own; renamed in `tokenizer`, which is changed."""
    found = []
    for token in tokenizer.get("added_tokens") or []:
        tag = token.get("content")
        if tag in ALIASES:
            token["content"] = ALIASES[tag]
            token["special"] = False
            found.append(tag)
    vocabulary = (tokenizer.get("model") or {}).get("vocab")
    if isinstance(vocabulary, dict):
        for tag in found:
            if tag in vocabulary:
                vocabulary[ALIASES[tag]] = vocabulary.pop(tag)
    return tuple(found)


def _tokenizer_with_tags(path: Path) -> dict[str, Any]:
    try:
        has_tags = OPEN in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}  # mistral.rs says what is wrong with it.
    return read_json(path) if has_tags else {}
