"""Engines behind https: trusted by the system's roots, and by nothing else."""

import ssl
from pathlib import Path

import pytest

from tests.support.relays import house
from tests.support.scripted_upstream import ScriptedUpstream, good_stream
from tokenmill._native import EndReason

CERTIFICATES = Path(__file__).resolve().parents[1] / "support" / "certificates"


def engine_side() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "engine.pem", CERTIFICATES / "engine.key")
    return context


async def test_an_engine_with_a_good_certificate_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "authority.pem"))
    async with ScriptedUpstream(tls=engine_side()) as upstream, house(tmp_path) as here:
        upstream.always(*good_stream("Hi", " you"))
        for url in (upstream.url, upstream.url.replace("127.0.0.1", "localhost")):
            here.use(url)
            for _ in range(2):
                assert (await here.run()).reason == EndReason.COMPLETE
        assert upstream.connection_count == 2


async def test_an_engine_that_nobody_vouches_for_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The engine's own certificate is no authority.
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "engine.pem"))
    async with ScriptedUpstream(tls=engine_side()) as upstream, house(tmp_path) as here:
        upstream.always(*good_stream("Hi"))
        here.use(upstream.url.replace("127.0.0.1", "localhost"))
        got = await here.run()
        assert got.reason == EndReason.REFUSED
        assert upstream.requests == []


async def test_without_any_roots_the_url_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "none.pem"
    empty.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(empty))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    async with house(tmp_path) as here:
        with pytest.raises(ValueError, match=r"https://engine.*root certificates"):
            here.use("https://engine")
