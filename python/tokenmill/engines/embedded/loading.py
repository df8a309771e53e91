"""Loads a model into mistral.rs: source -> ModelRunner.

Sets what mistral.rs reads from the environment before it is imported, so nothing else here may
import it first. Weights are float32 in memory: bfloat16 is four times slower on a CPU, and float16
three times with concurrent requests.
"""

import importlib.metadata
import logging
import os
import tempfile
import zlib
from pathlib import Path
from typing import Any

from tokenmill.engines.embedded.adaptation import TagSpelling, adapt
from tokenmill.engines.embedded.errors import EngineError
from tokenmill.engines.embedded.gguf import read_metadata
from tokenmill.engines.embedded.model_source import ModelNotUsable, ModelSource, read_json
from tokenmill.engines.embedded.prompts import PromptTemplate
from tokenmill.engines.embedded.runner import PASSTHROUGH_TEMPLATE, ModelCard, ModelRunner

logger = logging.getLogger(__name__)

ADAPTERS_MAX = 16
CONTEXT_TOKENS_IF_UNKNOWN = 2_048
SAMPLING_DEFAULTS = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


def prepare_environment(threads: int) -> None:
    """Before the first import of mistralrs: its thread count, and no logs of its own on stdout.

    More threads than cores that are really free make a small model 50 times slower.
    """
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ["RUST_LOG"] = "error"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def load_model(source: ModelSource, sequences_max: int) -> ModelRunner:
    """The model, ready. Blocks for as long as that takes. Raises: ModelNotUsable."""
    try:
        import mistralrs  # noqa: F401 - the import is what is tried
    except ImportError as error:
        raise ModelNotUsable(
            f"mistralrs is not installed ({error}); install tokenmill with the `embedded` extra"
        ) from None
    if source.kind == "gguf":
        return _load_gguf(source, sequences_max)
    return _load_folder(source, sequences_max)


def _load_folder(source: ModelSource, sequences_max: int) -> ModelRunner:
    from mistralrs import Architecture, ModelDType, Which

    architecture = getattr(Architecture, source.architecture)
    with tempfile.TemporaryDirectory(prefix="tokenmill-model-") as scratch:
        adapted, spelling = adapt(source, Path(scratch))
        folder = str(adapted)
        which: Any = Which.Lora(
            model_id=folder, arch=architecture, dtype=ModelDType.F32, max_adapters=ADAPTERS_MAX
        )
        adapters_max = ADAPTERS_MAX
        try:
            runner = _runner(which, sequences_max)
        except ModelNotUsable as error:
            # Not every architecture takes adapters; whatever else is wrong fails again.
            logger.info("loading without adapters", extra={"reason": str(error)})
            which = Which.Plain(model_id=folder, arch=architecture, dtype=ModelDType.F32)
            adapters_max, runner = 0, _runner(which, sequences_max)
    tokenizer = read_json(source.path / "tokenizer_config.json")
    card = ModelCard(
        id=source.id,
        root=str(source.path),
        context_tokens=_context(runner, source.config.get("max_position_embeddings")),
        vocabulary_size=int(source.config.get("vocab_size") or 0),
        defaults=_sampling_defaults(source.path),
        fingerprint=_fingerprint(source),
        adapters_max=adapters_max,
    )
    template = PromptTemplate(_template(source.path, tokenizer), _special_tokens(tokenizer))
    return _ready(runner, card, template, spelling)


def _load_gguf(source: ModelSource, sequences_max: int) -> ModelRunner:
    from mistralrs import Which

    metadata = read_metadata(source.path)
    which = Which.GGUF(
        quantized_model_id=str(source.path.parent.resolve()), quantized_filename=source.path.name
    )
    runner = _runner(which, sequences_max)
    tokens = metadata.get("tokenizer.ggml.tokens") or []
    architecture = metadata.get("general.architecture", "")
    special = {
        name: tokens[metadata[key]]
        for name, key in (
            ("bos_token", "tokenizer.ggml.bos_token_id"),
            ("eos_token", "tokenizer.ggml.eos_token_id"),
        )
        if isinstance(metadata.get(key), int) and metadata[key] < len(tokens)
    }
    card = ModelCard(
        id=source.id,
        root=str(source.path),
        context_tokens=_context(runner, metadata.get(f"{architecture}.context_length")),
        vocabulary_size=len(tokens),
        fingerprint=_fingerprint(source),
    )
    template = PromptTemplate(str(metadata.get("tokenizer.chat_template", "")), special)
    return _ready(runner, card, template, TagSpelling())


def _runner(which: Any, sequences_max: int) -> Any:
    from mistralrs import Runner

    try:
        return Runner(
            which=which,
            max_seqs=sequences_max,
            prefix_cache_n=0,  # it never frees: 1.6 MB a request with the demo model
            jinja_explicit=str(PASSTHROUGH_TEMPLATE),
        )
    except (ValueError, RuntimeError) as error:
        line = str(error).strip().split("\n", 1)[0]
        raise ModelNotUsable(f"mistral.rs cannot load the model: {line}") from None


def _ready(
    runner: Any, card: ModelCard, template: PromptTemplate, spelling: TagSpelling
) -> ModelRunner:
    try:
        template.compile()
    except EngineError as error:
        raise ModelNotUsable(error.message) from None
    return ModelRunner(runner, card, template, spelling)


def _context(runner: Any, configured: Any) -> int:
    known = runner.max_sequence_length() or configured
    return int(known or CONTEXT_TOKENS_IF_UNKNOWN)


def _sampling_defaults(folder: Path) -> dict[str, float]:
    config = read_json(folder / "generation_config.json")
    return {
        name: config[name]
        for name in SAMPLING_DEFAULTS
        if isinstance(config.get(name), int | float) and config.get("do_sample", True)
    }


def _template(folder: Path, tokenizer: dict[str, Any]) -> str:
    """The chat template: a file of its own, or the tokenizer's; of several the default one."""
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except FileNotFoundError:
        pass
    template = tokenizer.get("chat_template") or ""
    if isinstance(template, list):
        named = {each.get("name"): each.get("template", "") for each in template}
        return str(named.get("default", ""))
    return str(template)


def _special_tokens(tokenizer: dict[str, Any]) -> dict[str, str]:
    special = {}
    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        token = tokenizer.get(name)
        if isinstance(token, dict):
            token = token.get("content")
        if isinstance(token, str):
            special[name] = token
    return special


def _fingerprint(source: ModelSource) -> str:
    text = f"{importlib.metadata.version('mistralrs')} {source.path.resolve()}"
    return f"fp_{zlib.crc32(text.encode()):08x}"
