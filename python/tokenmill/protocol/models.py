"""GET /models and /models/{id}: what clients may ask for."""

from typing import Literal

from msgspec import Struct


class Model(Struct, omit_defaults=True, kw_only=True):
    """A model. `max_model_len` (prompt and answer together) is vLLM's word for it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    max_model_len: int | None = None
    parent: str | None = None  # an adapter's base model


class ModelList(Struct, kw_only=True):
    """All models that the key may use."""

    object: Literal["list"]
    data: list[Model]
