"""The command line and environment of a supervised vLLM: pure, so that a test can read it.

What the operator sets in `vllm.arguments` comes last, and vLLM takes the last of two.
"""

import math
from collections.abc import Mapping

from tokenmill.engines.address import LOOPBACK
from tokenmill.settings import Settings

ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_HOST_IP": LOOPBACK,  # its processes talk to each other over loopback, too
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",  # the port is private, adapters come and go
}


def serve_command(settings: Settings, found: str, port: int) -> list[str]:
    """`vllm serve MODEL …` on a loopback port; `found` is where `vllm` lies."""
    start = list(settings.vllm.command) or [found, "serve"]
    return [
        *start,
        settings.model,
        *("--host", LOOPBACK),
        *("--port", str(port)),
        *("--served-model-name", settings.model),
        # Looks at /health and /v1/models come twice a second and say nothing in a log.
        "--disable-uvicorn-access-log",
        # Running streams may end; by then the workers have stopped sending.
        *("--shutdown-timeout", str(math.ceil(settings.drain_seconds))),
        *settings.vllm.arguments,
    ]


def serve_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """What vLLM runs with: the inherited environment, and no reports to anyone."""
    return {**ENVIRONMENT, **inherited, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
