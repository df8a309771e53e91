"""Makes a LoRA adapter in PEFT's file format, with random weights: no torch, no safetensors."""

import json
import random
import struct
from pathlib import Path


def write_adapter(folder: Path, model: Path, *, seed: int, scale: float = 0.5) -> Path:
    """An adapter of rank 2 on every down projection of the Llama in `model`."""
    config = json.loads((model / "config.json").read_text())
    numbers = random.Random(seed)
    tensors: dict[str, tuple[list[int], bytes]] = {}
    for layer in range(config["num_hidden_layers"]):
        stem = f"base_model.model.model.layers.{layer}.mlp.down_proj"
        for name, shape in (
            ("lora_A", [2, config["intermediate_size"]]),
            ("lora_B", [config["hidden_size"], 2]),
        ):
            values = [numbers.gauss(0, scale) for _ in range(shape[0] * shape[1])]
            tensors[f"{stem}.{name}.weight"] = (shape, struct.pack(f"<{len(values)}f", *values))
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(_safetensors(tensors))
    (folder / "adapter_config.json").write_text(
        json.dumps(
            {
                "peft_type": "LORA",
                "task_type": "CAUSAL_LM",
                "r": 2,
                "lora_alpha": 4,
                "lora_dropout": 0.0,
                "bias": "none",
                "target_modules": ["down_proj"],
            }
        )
    )
    return folder


def _safetensors(tensors: dict[str, tuple[list[int], bytes]]) -> bytes:
    header, at = {}, 0
    for name, (shape, data) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + b"".join(data for _, data in tensors.values())
