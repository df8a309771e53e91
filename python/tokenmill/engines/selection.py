"""Which engine `up` starts: looks at the machine as little as it needs, then asks `rules.py`.

Called once by the supervisor, on the way to the first answer: a port that nobody listens on costs
microseconds, and asyncio is imported only if one is open.
"""

import importlib.util
import socket
from collections.abc import Sequence

from tokenmill.engines.address import LOOPBACK, local_address
from tokenmill.engines.recognition import Sighting
from tokenmill.engines.rules import Choice, Facts, choose_engine, wants_vllm
from tokenmill.engines.vllm.presence import find_vllm, has_usable_gpu
from tokenmill.settings import Settings

_CONNECT_S_MAX = 0.2
"""On loopback a connection is made or refused at once, unless the listener is swamped."""


def select_engine(settings: Settings) -> Choice:
    """What to start on this machine now, and why. At most a probe's time if a port is open."""
    wanted = wants_vllm(settings)
    return choose_engine(
        settings,
        Facts(
            sightings=_look_around(settings),
            is_vllm_installed=wanted and bool(find_vllm()),
            is_gpu_usable=wanted and has_usable_gpu(),
            is_embedded_installed=is_embedded_installed(),
        ),
    )


def is_embedded_installed() -> bool:
    """Whether the extra `embedded` is there; its library is not imported for that."""
    return importlib.util.find_spec("mistralrs") is not None


def open_ports(ports: Sequence[int]) -> list[int]:
    """Those of the loopback ports that somebody listens on, or that do not answer in time."""
    return [port for port in ports if _is_open(port)]


def _is_open(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
        attempt.settimeout(_CONNECT_S_MAX)
        try:
            attempt.connect((LOOPBACK, port))
        except TimeoutError:
            return True
        except OSError:
            return False
    return True


def _look_around(settings: Settings) -> list[Sighting]:
    if settings.engines or not settings.discovery.enabled:
        return []
    ports = open_ports([port for port in settings.discovery.ports if port != settings.port])
    if not ports:
        return []
    import asyncio

    from tokenmill.engines.probe import look_at_all

    looks = look_at_all(map(local_address, ports), timeout_ms=settings.discovery.probe_ms)
    return asyncio.run(looks)
