"""The setting `redis_url`: what it may be, and what of it may be shown. Imports no driver."""

import importlib.util
import re

from tokenmill.purses.errors import RedisUrlInvalid

_URL = re.compile(r"(?:rediss?://[^/?#\s]+|unix://[^?#\s]*/[^?#\s]+)\S*")
_PASSWORD = re.compile(r"(://[^@/]*):[^@/]*@")


def check_url(url: str, database_kind: str) -> None:
    """Returns if houses can share purses there. Raises: RedisUrlInvalid."""
    if _URL.fullmatch(url) is None:
        raise RedisUrlInvalid(
            "`redis_url` cannot be used: give redis://HOST:PORT/0, rediss:// for TLS, or"
            " unix:///path/of/the.sock."
        )
    if database_kind != "postgresql":
        raise RedisUrlInvalid(
            "`redis_url` is for houses that share a database: set database_url to a PostgreSQL."
        )
    if importlib.util.find_spec("redis") is None:
        raise RedisUrlInvalid("Redis needs its driver: pip install 'tokenmill[redis]'.")


def shown_url(url: str) -> str:
    """The URL without its password."""
    return _PASSWORD.sub(r"\1:…@", url)
