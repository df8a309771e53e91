"""URLs of PostgreSQL as people write them for libpq."""

import pytest

from tokenmill.database.server_address import ServerAddress, ServerAddressInvalid, parse_server


@pytest.mark.parametrize(
    ("rest", "server"),
    [
        ("db", ServerAddress(host="db")),
        ("/tokens", ServerAddress(host="/var/run/postgresql", name="tokens")),
        (
            "mill:p%40ss+w@db.example:5433/my%20tokens",
            ServerAddress(
                host="db.example", port=5433, user="mill", password="p@ss+w", name="my tokens"
            ),
        ),
        ("[::1]:5433/x", ServerAddress(host="::1", port=5433, name="x")),
        ("m@/x?host=/Run/pg/", ServerAddress(host="/Run/pg", user="m", name="x")),
        ("m@:5433/x?host=/run/pg", ServerAddress(host="/run/pg", port=5433, user="m", name="x")),
        ("db/x?port=5433", ServerAddress(host="db", port=5433, name="x")),
        ("db?application_name=a+b%20c", ServerAddress(host="db", application_name="a+b c")),
        ("db?connect_timeout=9", ServerAddress(host="db", connect_timeout_s=9)),
        ("db?sslmode=disable", ServerAddress(host="db", sslmode="disable")),
        (
            "db?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            ServerAddress(host="db", sslmode="verify-full", sslrootcert="/etc/ca.pem"),
        ),
    ],
)
def test_what_is_written_and_what_it_means(rest: str, server: ServerAddress) -> None:
    assert parse_server(rest) == server


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("db?sslmod=require", "option sslmod is not known; there are host, port, sslmode"),
        ("db?password=x", "option password is not known"),
        ("db?sslmode=verify", "sslmode is one of disable, prefer, require, verify-full"),
        ("db?sslrootcert=/etc/ca.pem", "sslrootcert needs sslmode=verify-full"),
        ("db?connect_timeout=0", "connect_timeout is a whole number from 1 to 300"),
        ("db?port=x", "port is a whole number from 1 to 65535"),
        ("db:99999/x", "its host or port cannot be read"),
        ("[::1/x", "its host or port cannot be read"),
        ("m:a#b@db/x", "a # in it has to be written %23|cannot be read"),
    ],
)
def test_what_is_refused_and_why(rest: str, reason: str) -> None:
    with pytest.raises(ServerAddressInvalid, match=reason):
        parse_server(rest)


def test_a_folder_means_the_socket_in_it() -> None:
    assert parse_server("/x?host=/run/pg&port=5433").socket == "/run/pg/.s.PGSQL.5433"
    assert parse_server("db/x").socket is None
