"""POST /v1/load_lora_adapter and /v1/unload_lora_adapter: vLLM's bodies, texts and statuses."""

from functools import partial
from pathlib import Path

from tokenmill import clock
from tokenmill.engines.embedded.errors import (
    BadRequest,
    EngineError,
    InvalidUserInput,
    NotFound,
    unsupported,
)
from tokenmill.engines.embedded.requests import LoadAdapter, UnloadAdapter, decode
from tokenmill.engines.embedded.runner import Adapter, ModelRunner
from tokenmill.engines.embedded.service import Answer, Service

TEXT = b"text/plain; charset=utf-8"


async def load_adapter(service: Service, body: bytes, _: str) -> Answer:
    """Loads a PEFT folder under a name that requests can then ask for."""
    request = decode(body, LoadAdapter)
    model = service.loaded()
    name = request.lora_name
    if not name or not request.lora_path:
        raise InvalidUserInput("Both 'lora_name' and 'lora_path' must be provided.")
    if not model.card.adapters_max:
        raise unsupported("lora_name", "this model takes no adapters.")
    if name == model.card.id:
        raise InvalidUserInput(f"'{name}' is the name of the base model.", param="lora_name")
    if name in model.adapters and not request.load_inplace:
        raise InvalidUserInput(
            f"The lora adapter '{name}' has already been loaded. If you want to load the adapter "
            "in place, set 'load_inplace' to True."
        )
    adapter = Adapter(name=name, path=request.lora_path, created=clock.wall_s(), rank=0)
    await service.on_thread(partial(_load, model, adapter))
    return Answer(f"Success: LoRA adapter '{name}' added successfully.".encode(), content_type=TEXT)


async def unload_adapter(service: Service, body: bytes, _: str) -> Answer:
    """Forgets an adapter; answers that are running with it end as they began."""
    request = decode(body, UnloadAdapter)
    model = service.loaded()
    name = request.lora_name
    if not name:
        raise InvalidUserInput("'lora_name' needs to be provided to unload a LoRA adapter.")
    if name not in model.adapters:
        raise NotFound(f"The lora adapter '{name}' cannot be found.", param="lora_name")
    await service.on_thread(partial(_unload, model, name))
    return Answer(
        f"Success: LoRA adapter '{name}' removed successfully.".encode(), content_type=TEXT
    )


def _load(model: ModelRunner, adapter: Adapter) -> None:
    if not _is_adapter(adapter.path):
        raise NotFound(f"No adapter found for {adapter.path}", param="lora_path")
    try:
        model.load_adapter(adapter, in_place=adapter.name in model.adapters)
    except ValueError as error:
        raise _refusal(error, adapter.name) from None


def _is_adapter(path: str) -> bool:
    try:
        return Path(path, "adapter_config.json").is_file()
    except (OSError, ValueError):  # too long a name, or one that no file can have
        return False


def _unload(model: ModelRunner, name: str) -> None:
    try:
        model.unload_adapter(name)
    except ValueError as error:
        raise _refusal(error, name) from None


def _refusal(error: ValueError, name: str) -> EngineError:
    """vLLM's status for what mistral.rs says with `LoraAdapterError.code`."""
    code = getattr(error, "code", "")
    line = str(error).split("\n", 1)[0]
    if code == "adapter_file_not_found":
        return NotFound(line, param="lora_path")
    if code == "lora_adapter_not_found":
        return NotFound(f"The lora adapter '{name}' cannot be found.", param="lora_name")
    if code == "lora_adapter_already_loaded":
        return InvalidUserInput(f"The lora adapter '{name}' has already been loaded.")
    return BadRequest(line, param="lora_path")
