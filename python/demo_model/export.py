"""Writes the model as a Hugging Face folder that mistral.rs and vLLM load: float16 safetensors.

`rope_theta` stands at the top level of config.json because mistral.rs looks for it there, and
`vocab_size` is the tokenizer's own.
"""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from demo_model.llama import Parameters, Shape
from demo_model.rendering import CHAT_TEMPLATE, END_OF_TEXT, MESSAGE_END
from demo_model.tokenizer import MESSAGE_END_ID, PADDING_ID

MATRICES = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
NORMS = {"attention_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}


def export(shape: Shape, parameters: Parameters, tokenizer: Tokenizer, folder: Path) -> int:
    """Writes the folder; returns its size in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: np.ascontiguousarray(value.astype(np.float16))
        for name, value in named_tensors(shape, parameters).items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    ends = {"bos_token_id": PADDING_ID, "eos_token_id": MESSAGE_END_ID, "pad_token_id": PADDING_ID}
    write_json(folder / "config.json", {**configuration(shape), **ends})
    write_json(folder / "generation_config.json", ends)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", tokenizer_configuration(shape))
    return sum(file.stat().st_size for file in folder.iterdir())


def named_tensors(shape: Shape, parameters: Parameters) -> dict[str, np.ndarray]:
    """Torch's names and layout: matrices are (out, in)."""
    arrays = jax.tree.map(np.asarray, parameters)
    tensors = {
        "model.embed_tokens.weight": arrays["embed"],
        "model.norm.weight": arrays["norm"],
    }
    for index in range(shape.layers):
        for short, name in MATRICES.items():
            tensors[f"model.layers.{index}.{name}.weight"] = arrays["layers"][short][index].T
        for short, name in NORMS.items():
            tensors[f"model.layers.{index}.{name}.weight"] = arrays["layers"][short][index]
    return tensors


def configuration(shape: Shape) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.epsilon,
        "rope_theta": shape.rope_theta,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "torch_dtype": "float16",
    }


def tokenizer_configuration(shape: Shape) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": MESSAGE_END,
        "pad_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "add_bos_token": False,
        "model_max_length": shape.context,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }


def write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")
