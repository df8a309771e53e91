"""What EndpointSlices say of engines: pure, from the API's JSON to addresses and what to do there.

Source: the API reference, EndpointSlice v1: `ready` that is not told means yes, `terminating` no;
all addresses of an endpoint are the same, and the first is to be used. While Kubernetes moves an
endpoint between slices it may stand in two.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

ENDPOINTS_MAX = 4_096
"""Of all slices together, as many as there can be slots for engines."""


class _Reference(Struct):
    name: str = ""


class _Conditions(Struct):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class _Endpoint(Struct):
    addresses: list[str] = []
    conditions: _Conditions = field(default_factory=_Conditions)
    target: _Reference | None = field(default=None, name="targetRef")


class _Port(Struct):
    name: str | None = None
    port: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    protocol: str | None = None


class Metadata(Struct):
    """Of an object, or of a list of them."""

    name: str = ""
    version: str = field(default="", name="resourceVersion")
    more: str = field(default="", name="continue")


class Slice(Struct):
    """An EndpointSlice, as far as it is about engines."""

    metadata: Metadata = field(default_factory=Metadata)
    address_type: str = field(default="IPv4", name="addressType")
    endpoints: list[_Endpoint] | None = None
    ports: list[_Port] | None = None


class SliceList(Struct):
    """One page of a list."""

    metadata: Metadata
    items: list[Slice]


class Event(Struct):
    """One line of a watch; `object` is a Slice, or of an ERROR a Status."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


class Status(Struct):
    """What the API says instead."""

    code: int = 0
    message: str = ""
    reason: str = ""


class FoundEngine(Struct, frozen=True):
    """An engine's address, what it is called, and whether it gets new requests."""

    url: str
    name: str
    is_ready: bool


class Wanted(Struct, frozen=True):
    """Which port of an endpoint is the engine's: its name or number, or none for the first."""

    port: str = ""
    scheme: Literal["http", "https"] = "http"


def engines_of(slices: Iterable[Slice], wanted: Wanted) -> dict[str, FoundEngine]:
    """The engines by URL. One that is in two slices is ready if it is so in either."""
    found: dict[str, FoundEngine] = {}
    for one in slices:
        port = _port_of(one.ports or (), wanted.port)
        if port is None or one.address_type == "FQDN":
            continue
        for endpoint in one.endpoints or ():
            engine = _engine(one, endpoint, port, wanted.scheme)
            if engine is None:
                continue
            before = found.get(engine.url)
            if before is None and len(found) >= ENDPOINTS_MAX:
                return found
            if before is None or engine.is_ready:
                found[engine.url] = engine
    return found


def settled(
    before: Mapping[str, FoundEngine], found: Mapping[str, FoundEngine]
) -> dict[str, FoundEngine]:
    """The engines to be known from now on: one that was never ready has no requests to finish."""
    return {url: one for url, one in found.items() if one.is_ready or url in before}


def _port_of(ports: Iterable[_Port], wanted: str) -> int | None:
    tcp = [one for one in ports if one.port and (one.protocol or "TCP") == "TCP"]
    if not wanted:
        return tcp[0].port if tcp else None
    return next((one.port for one in tcp if wanted in (one.name, str(one.port))), None)


def _engine(one: Slice, endpoint: _Endpoint, port: int, scheme: str) -> FoundEngine | None:
    if not endpoint.addresses:
        return None
    host = endpoint.addresses[0]
    shown = f"[{host}]" if one.address_type == "IPv6" else host
    name = endpoint.target.name if endpoint.target is not None else ""
    conditions = endpoint.conditions
    is_ready = conditions.ready is not False and not conditions.terminating
    return FoundEngine(f"{scheme}://{shown}:{port}", name or f"{shown}:{port}", is_ready)


def apply(slices: dict[str, Slice], kind: str, one: Slice) -> None:
    """The slices after an event about one of them."""
    if kind == "DELETED":
        slices.pop(one.metadata.name, None)
    elif kind in ("ADDED", "MODIFIED"):
        slices[one.metadata.name] = one


def decode(text: bytes, model: type[Any]) -> Any:
    """The API's JSON as a `model`. Raises: msgspec.MsgspecError."""
    return msgspec.json.decode(text, type=model)
