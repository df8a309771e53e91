"""A connection to Redis for whoever may block: control and the doctor."""

from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tokenmill.settings import RedisSettings


def connect(url: str, settings: RedisSettings) -> Any:
    """A client whose every call ends within the settings' times. Nothing is opened before the
    first. Raises: ValueError, for an address that the driver does not take."""
    return Redis.from_url(
        url,
        socket_timeout=settings.answer_ms / 1000,
        socket_connect_timeout=settings.connect_ms / 1000,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
