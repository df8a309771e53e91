"""What crosses between control, workers and operators about adapters: the shape of the JSON."""

from typing import Annotated

from msgspec import Meta, Struct

ModelName = Annotated[str, Meta(min_length=1, max_length=200)]


class AdapterView(Struct, frozen=True, kw_only=True):
    """An adapter as an operator sees it: the engines that hold it, and why one could not."""

    name: str
    base: str
    path: str
    created: int
    engines: tuple[str, ...]
    detail: str = ""
    account: str = ""  # the only one that sees it; empty: all do


class AdapterList(Struct, frozen=True):
    """All adapters, by name."""

    data: list[AdapterView]


class AddAdapter(Struct, frozen=True, forbid_unknown_fields=True):
    """An adapter to be used from now on: the model it belongs to, its folder, in PEFT's format, as
    engines see it, and the account that it is for, if it is not for all."""

    name: Annotated[str, Meta(max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
    base: ModelName
    path: Annotated[str, Meta(max_length=1_000, pattern=r"^/[^\0]+$")]
    account: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class ChosenAdapter(Struct, frozen=True, forbid_unknown_fields=True):
    """An adapter, by its name."""

    name: ModelName


class LoadWish(Struct, frozen=True, forbid_unknown_fields=True):
    """A worker has a request for an adapter that no engine of its route holds, or that the engine
    in the slot `failed` did not answer; -1: none was asked."""

    name: Annotated[str, Meta(max_length=512)]
    account_id: Annotated[int, Meta(ge=0)] = 0
    failed: int = -1


class Held(Struct, frozen=True):
    """An engine holds the adapter now, and the fleet says so."""

    engine: str
