"""What goes wrong with purses: the request is refused, never guessed at."""

from tokenmill.errors import ClientError, ServiceUnavailable

RETRY_MS = 1_000


class PursesAway(ServiceUnavailable):
    """The limits and wallets that the gateways share cannot be reached. Try again after the given
    time."""

    def __init__(self, message: str | None = None, retry_after_ms: int = RETRY_MS) -> None:
        super().__init__(message, retry_after_ms=retry_after_ms)


class RedisUrlInvalid(ClientError):
    """`redis_url` cannot be used."""
