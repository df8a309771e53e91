"""Which model is meant: the demo, a folder, a GGUF file, or an id at Hugging Face.

Looks at files and, for an id that is not in the local cache, asks the hub for it. Knows which
architectures mistral.rs has, and says so before anything is loaded.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

DEMO_ID = "tokenmill-demo"
DEMO_FOLDER = Path(__file__).with_name("demo")

# model_type of config.json -> member of mistralrs.Architecture.
ARCHITECTURES = {
    "deepseek_v2": "DeepseekV2",
    "deepseek_v3": "DeepseekV3",
    "gemma": "Gemma",
    "gemma2": "Gemma2",
    "glm4": "GLM4",
    "glm4_moe": "GLM4Moe",
    "glm4_moe_lite": "GLM4MoeLite",
    "gpt_oss": "GptOss",
    "granitemoehybrid": "GraniteMoeHybrid",
    "lfm2": "Lfm2",
    "lfm2_moe": "Lfm2Moe",
    "llama": "Llama",
    "mistral": "Mistral",
    "mixtral": "Mixtral",
    "phi": "Phi2",
    "phi3": "Phi3",
    "phimoe": "Phi3_5MoE",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "qwen3_moe": "Qwen3Moe",
    "qwen3_next": "Qwen3Next",
    "smollm3": "SmolLm3",
    "starcoder2": "Starcoder2",
}
HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
HUB_GGUF = re.compile(r"^([A-Za-z0-9][\w.-]*/[\w.-]+)[:/]([\w./-]+\.gguf)$")
HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt"]


class ModelNotUsable(Exception):
    """The model cannot be served; the message says why and what to do."""


class ModelSource(Struct, frozen=True, kw_only=True):
    """Where a model lies. `architecture` is empty for GGUF files, which name their own."""

    id: str
    kind: Literal["folder", "gguf"]
    path: Path
    architecture: str = ""
    config: dict[str, Any] = {}


def find_model(wanted: str) -> ModelSource:
    """The model that `wanted` names; empty is the demo. May download. Raises: ModelNotUsable."""
    if not wanted:
        return _folder(DEMO_FOLDER, DEMO_ID)
    path = Path(wanted).expanduser()
    if path.is_dir():
        ggufs = sorted(path.glob("*.gguf"))
        if not (path / "config.json").is_file() and len(ggufs) == 1:
            return ModelSource(id=path.resolve().name, kind="gguf", path=ggufs[0])
        return _folder(path, path.resolve().name)
    if path.is_file():
        if path.suffix != ".gguf":
            raise ModelNotUsable(f"{path} is neither a model folder nor a GGUF file")
        return ModelSource(id=path.stem, kind="gguf", path=path)
    if match := HUB_GGUF.match(wanted):
        file = _hub_file(match.group(1), match.group(2))
        return ModelSource(id=match.group(1), kind="gguf", path=file)
    if HUB_ID.match(wanted):
        return _folder(_hub_folder(wanted), wanted)
    raise ModelNotUsable(
        f"there is no folder or GGUF file {wanted!r}, and it is no Hugging Face id (ORG/NAME)"
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object out of a file; empty if there is none. Raises: ModelNotUsable."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelNotUsable(f"{path} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise ModelNotUsable(f"{path} does not hold a JSON object")
    return value


def _folder(folder: Path, model_id: str) -> ModelSource:
    config = read_json(folder / "config.json")
    if not config:
        raise ModelNotUsable(f"{folder} has no config.json: it is not a model folder")
    return ModelSource(
        id=model_id,
        kind="folder",
        path=folder,
        architecture=architecture_of(config),
        config=config,
    )


def architecture_of(config: Mapping[str, Any]) -> str:
    """The name that mistral.rs has for this config's architecture. Raises: ModelNotUsable."""
    model_type = str(config.get("model_type", ""))
    if architecture := ARCHITECTURES.get(model_type):
        return architecture
    raise ModelNotUsable(
        f"the embedded engine does not run models of type {model_type!r}; it runs: "
        + ", ".join(sorted(ARCHITECTURES))
    )


def _hub_folder(model_id: str) -> Path:
    hub = _hub(model_id)
    try:
        return Path(hub.snapshot_download(model_id, local_files_only=True))
    except (OSError, ValueError):
        pass
    try:
        return Path(hub.snapshot_download(model_id, allow_patterns=HUB_FILES))
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:
        raise _unreachable(model_id, error) from None


def _hub_file(model_id: str, name: str) -> Path:
    hub = _hub(model_id)
    try:
        return Path(hub.hf_hub_download(model_id, name))
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:
        raise _unreachable(model_id, error) from None


def _hub(model_id: str) -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        raise ModelNotUsable(
            f"{model_id!r} is not a local folder, and huggingface_hub is not installed to fetch it"
        ) from None
    return huggingface_hub


def _unreachable(model_id: str, error: Exception) -> ModelNotUsable:
    line = str(error).strip().split("\n", 1)[0]
    return ModelNotUsable(
        f"{model_id!r} is neither a local folder nor in the local Hugging Face cache, and could "
        f"not be fetched: {line}"
    )
