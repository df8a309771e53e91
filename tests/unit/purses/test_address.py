"""Addresses of Redis: what is taken, what is refused by name, and what is shown."""

import pytest

from tokenmill.purses.address import RedisServer, check_url, parse_url, shown_url
from tokenmill.purses.errors import RedisUrlInvalid


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("redis://localhost", RedisServer(host="localhost")),
        ("redis://10.0.0.1:7000/3", RedisServer(host="10.0.0.1", port=7000, database=3)),
        ("redis://:p%40ss@h/0", RedisServer(host="h", password="p@ss")),
        ("redis://me:secret@[::1]:6380", RedisServer(host="::1", port=6380, user="me",
                                                     password="secret")),
        ("rediss://h?ssl_ca_certs=/ca.pem",
         RedisServer(host="h", is_encrypted=True, authority="/ca.pem")),
        ("unix:///run/redis.sock?db=2", RedisServer(path="/run/redis.sock", database=2)),
    ],
)  # fmt: skip
def test_an_address_is_what_it_says(url: str, server: RedisServer) -> None:
    assert parse_url(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://h",
        "redis://",
        "unix://",
        "redis://h:port",
        "redis://h/first",
        "redis://h?timeout=1",
        "redis://h#x",
    ],
)
def test_what_is_none_is_refused_with_the_setting(url: str) -> None:
    with pytest.raises(RedisUrlInvalid, match="`redis_url` cannot be used"):
        parse_url(url)


def test_houses_that_share_no_database_share_no_purses() -> None:
    check_url("redis://h", "postgresql")
    with pytest.raises(RedisUrlInvalid, match="database_url"):
        check_url("redis://h", "sqlite")


def test_a_password_is_not_shown() -> None:
    assert shown_url("redis://me:secret@h:1/0") == "redis://me:…@h:1/0"
    assert shown_url("redis://h:1/0") == "redis://h:1/0"
