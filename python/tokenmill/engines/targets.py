"""Which addresses are looked at, by which name: pure, from settings and the house's own engines.

The order is the order of preference: what the house runs and the operator names, then the ports
where a vLLM may be found.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from tokenmill.engines.address import Address, local_address, parse_address
from tokenmill.engines.recognition import EngineKind
from tokenmill.engines.rules import Origin
from tokenmill.settings import EngineSettings, Settings

EMBEDDED_NAME = "embedded"
"""The embedded engine's name among the engines that the house itself runs."""


class Target(Struct, frozen=True, kw_only=True):
    """An address where an engine is, or may be."""

    name: str
    address: Address
    origin: Origin
    api_key: str = ""
    places: int = 0  # requests that it takes at once; 0: any number

    @property
    def is_embedded(self) -> bool:
        """Whether it is the embedded engine of this house."""
        return self.origin == "ours" and self.name == EMBEDDED_NAME

    @property
    def kind(self) -> EngineKind:
        """What it is taken for as long as nobody has answered there."""
        if self.is_embedded:
            return "embedded"
        return "openai" if self.origin in ("named", "added") else "vllm"


def list_targets(settings: Settings, ours: Sequence[EngineSettings]) -> list[Target]:
    """Everything to look at; one target an address, one name a target.

    Raises: ValueError naming an engine URL that cannot be used.
    """
    places = settings.queue.engine_requests_max
    targets = [_target(engine, "ours", places) for engine in ours]
    targets += [_target(engine, "named", places) for engine in settings.engines]
    if settings.discovery.enabled:
        ports = (port for port in settings.discovery.ports if port != settings.port)
        targets += [_found(port, places) for port in ports]
    return _named_apart(_one_an_address(targets))


def added_target(url: str, name: str, api_key: str, places: int) -> Target:
    """The target of an engine that an operator added. Raises: ValueError, for such a URL."""
    return _target(EngineSettings(url=url, name=name, api_key=api_key), "added", places)


def joined_target(url: str, name: str, api_key: str, places: int) -> Target:
    """The target of an engine that registered itself. Raises: ValueError, for such a URL."""
    return _target(EngineSettings(url=url, name=name, api_key=api_key), "joined", places)


def kubernetes_target(url: str, name: str, api_key: str, places: int) -> Target:
    """The target of an engine of a cluster. Raises: ValueError, for such a URL."""
    return _target(EngineSettings(url=url, name=name, api_key=api_key), "kubernetes", places)


def is_same_place(one: Address, other: Address) -> bool:
    """Whether two addresses are one engine's."""
    return _place(one) == _place(other)


def _target(engine: EngineSettings, origin: Origin, places: int) -> Target:
    address = parse_address(engine.url)
    name = engine.name or (address.url if address.path else address.authority)
    return Target(
        name=name,
        address=address,
        origin=origin,
        api_key=engine.api_key,
        places=engine.requests_max or places,
    )


def _found(port: int, places: int) -> Target:
    address = local_address(port)
    return Target(name=f"vllm-{port}", address=address, origin="found", places=places)


def _one_an_address(targets: Sequence[Target]) -> list[Target]:
    first: dict[str, Target] = {}
    for target in targets:
        first.setdefault(_place(target.address), target)
    return list(first.values())


def _place(address: Address) -> str:
    """Where it is; the names of this machine's loopback mean the same."""
    if address.path or not address.is_local:
        return address.url
    return f"local:{address.port}"


def _named_apart(targets: Sequence[Target]) -> list[Target]:
    taken: dict[str, int] = {}
    named = []
    for target in targets:
        count = taken[target.name] = taken.get(target.name, 0) + 1
        name = target.name if count == 1 else f"{target.name}-{count}"
        named.append(replace(target, name=name))
    return named
