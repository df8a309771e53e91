"""A look at whoever answers on a port: engines, strangers, and strangers with bad manners."""

import asyncio
import shutil
import ssl
import subprocess
import time
from asyncio import StreamWriter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.services import require
from tests.support.strangers import MODELS, Manners, answer, canned, stranger, vllm_answers
from tokenmill.engines.address import local_address, parse_address
from tokenmill.engines.http_get import _trusting_system
from tokenmill.engines.probe import look, look_at_all
from tokenmill.engines.recognition import Sighting
from tokenmill.engines.selection import open_ports

TIMEOUT_MS = 10_000
SHORT_MS = 400
"""For whoever is silent; nobody else is to be taken for silent who is slow."""
BETWEEN_MS = 5_000
"""Where some are silent and others only slow."""
LATE_MS = 20_000
LATE_S = LATE_MS / 1000
"""Far over the time-outs, under the test's: only a look that waits for a stranger reaches it."""

HTML = answer(b"<!doctype html><title>It works!</title>", headers="content-type: text/html\r\n")
ENVELOPE = {"error": {"message": "m", "type": "not_found", "param": None, "code": "not_found"}}


async def look_at(
    manners: Manners, tls: ssl.SSLContext | None = None, timeout_ms: int = TIMEOUT_MS
) -> Sighting:
    async with stranger(manners, tls=tls) as port:
        return await look(local_address(port), timeout_ms=timeout_ms)


async def test_a_vllm_is_found_with_its_models() -> None:
    sighting = await look_at(canned(vllm_answers()))
    assert (sighting.outcome, sighting.kind, sighting.version) == ("serving", "vllm", "0.32.0")
    assert [(model.id, model.task) for model in sighting.models] == [("tiny-chat", "generate")]


async def test_a_vllm_without_chat_routes_embeds() -> None:
    answers = vllm_answers() | {"/v1/embeddings": answer({"detail": "Method Not Allowed"}, 405)}
    del answers["/v1/chat/completions"]
    sighting = await look_at(canned(answers))
    assert [model.task for model in sighting.models] == ["embed"]


async def test_a_vllm_that_asks_for_a_key_is_locked() -> None:
    locked = vllm_answers() | {"/v1/models": answer({"error": "Unauthorized"}, 401)}
    assert (await look_at(canned(locked))).outcome == "locked"


async def test_the_key_is_sent_to_guarded_routes_only() -> None:
    seen: list[bytes] = []
    async with stranger(canned(vllm_answers()), heads=seen) as port:
        await look(local_address(port), api_key="engine-secret", timeout_ms=TIMEOUT_MS)
    with_key = [head.split(b" ")[1] for head in seen if b"Bearer engine-secret" in head]
    assert with_key == [b"/v1/models", b"/v1/chat/completions"]


async def test_a_known_engine_is_asked_two_things() -> None:
    heads: list[bytes] = []
    async with stranger(canned(vllm_answers()), heads=heads) as port:
        known = await look(local_address(port), timeout_ms=TIMEOUT_MS)
        heads.clear()
        again = await look(local_address(port), timeout_ms=TIMEOUT_MS, known=known)
    assert [head.split(b" ")[1] for head in heads] == [b"/v1/models", b"/health"]
    assert again == known


async def chunked(target: str, writer: StreamWriter) -> None:
    body = vllm_answers()[target].partition(b"\r\n\r\n")[2]
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    pieces = b"".join(b"%x;x=y\r\n%c\r\n" % (1, byte) for byte in body)
    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" + head + pieces + b"0\r\n\r\n")
    await writer.drain()


async def to_the_end(target: str, writer: StreamWriter) -> None:
    writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + vllm_answers()[target].partition(b"\r\n\r\n")[2])
    await writer.drain()


@pytest.mark.parametrize("manners", [chunked, to_the_end], ids=["chunked", "to the end"])
async def test_every_framing_of_http_is_read(manners: Manners) -> None:
    sighting = await look_at(manners)
    assert (sighting.outcome, [model.id for model in sighting.models]) == ("serving", ["tiny-chat"])


async def silent(_target: str, _writer: StreamWriter) -> None:
    await asyncio.sleep(LATE_S)


async def trickling(_target: str, writer: StreamWriter) -> None:
    """Always one more byte, never an end: each arrives in time, the whole never does."""
    writer.write(b"HTTP/1.1 200 OK\r\nx: ")
    for _ in range(int(LATE_S / 0.02)):
        writer.write(b"y")
        await writer.drain()
        await asyncio.sleep(0.02)


async def closing(_target: str, _writer: StreamWriter) -> None:
    return


async def half_an_answer(_target: str, writer: StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    await writer.drain()


async def endless_head(_target: str, writer: StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        writer.write(b"y" * 65_536)
        await writer.drain()


async def endless_body(_target: str, writer: StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"y" * 65_536)
        await writer.drain()


async def endless_chunks(_target: str, writer: StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"y" * 65_536 + b"\r\n")
        await writer.drain()


async def large_promise(_target: str, writer: StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n")
    await writer.drain()


async def ssh(_target: str, writer: StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await writer.drain()


async def negative_length(_target: str, writer: StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n")
    await writer.drain()


STRANGERS = [
    # manners, what is made of them
    (canned({}, HTML), "foreign"),  # a web server that answers everything
    (canned({}), "foreign"),
    (canned({}, answer(ENVELOPE, 404)), "foreign"),  # another gateway like ours
    (canned({}, answer(b"", 307, "location: http://127.0.0.1:1/\r\n")), "foreign"),
    (canned({"/version": answer({"version": "1"})}), "foreign"),  # a version alone is no engine
    (canned({}, answer(b"", 204)), "foreign"),
    (silent, "silent"),
    (trickling, "silent"),
    (closing, "broken"),
    (half_an_answer, "broken"),
    (endless_head, "broken"),
    (endless_body, "broken"),
    (endless_chunks, "broken"),
    (large_promise, "broken"),
    (negative_length, "broken"),
    (ssh, "broken"),
]


@pytest.mark.parametrize(("manners", "outcome"), STRANGERS)
async def test_strangers_are_no_engines_and_cost_no_time(manners: Manners, outcome: str) -> None:
    before = time.monotonic()
    timeout_ms = SHORT_MS if outcome == "silent" else TIMEOUT_MS
    sighting = await look_at(manners, timeout_ms=timeout_ms)
    assert (sighting.outcome, sighting.models) == (outcome, ())
    assert time.monotonic() - before < LATE_S


async def test_an_openai_server_without_a_version_is_not_taken_for_a_vllm() -> None:
    sighting = await look_at(canned({"/v1/models": answer(MODELS)}))
    assert (sighting.outcome, sighting.kind) == ("serving", "openai")


async def test_a_tls_port_is_no_engine() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # fails before it needs a certificate
    assert (await look_at(canned(vllm_answers()), tls=tls)).outcome == "broken"


async def test_an_encrypted_engine_is_reached_by_its_name_if_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = make_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with stranger(canned(vllm_answers()), tls=tls) as port:
        address = parse_address(f"https://localhost:{port}")
        _trusting_system.cache_clear()
        assert (await look(address, timeout_ms=LATE_MS)).outcome == "refused"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        _trusting_system.cache_clear()
        assert (await look(address, timeout_ms=LATE_MS)).outcome == "serving"
    _trusting_system.cache_clear()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of localhost that signs itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if shutil.which("openssl") is None:
        require("openssl", "install openssl to try encrypted engines")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return certificate, key


async def test_nobody_there_is_refused_at_once() -> None:
    async with stranger(closing) as port:
        pass
    sighting = await look(local_address(port), timeout_ms=TIMEOUT_MS)
    assert sighting.outcome == "refused"


async def test_looks_go_on_side_by_side() -> None:
    before = time.monotonic()
    async with stranger(silent) as slow, stranger(canned(vllm_answers())) as port:
        addresses = map(local_address, (slow, slow, slow, port))
        looks = await look_at_all(addresses, timeout_ms=BETWEEN_MS)
    assert [sighting.outcome for sighting in looks] == ["silent"] * 3 + ["serving"]
    assert time.monotonic() - before < 3 * BETWEEN_MS / 1000


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A loopback port that is held and refuses: bound, and not listening."""
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


async def test_open_ports_are_told_from_closed_ones(closed_port: int) -> None:
    async with stranger(canned({})) as port:
        assert await asyncio.to_thread(open_ports, [closed_port, port]) == [port]
        # The connection was made and closed again, and does no harm.
        assert (await look(local_address(port), timeout_ms=TIMEOUT_MS)).outcome == "foreign"


@pytest.mark.parametrize(
    ("words", "parses"),
    [
        ('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser', False),
        ("list index out of range", True),  # it has one, and gets as far as the missing messages
    ],
)
async def test_a_vllm_says_whether_it_parses_tool_calls(words: str, parses: bool) -> None:
    refusal = {"error": {"message": words, "type": "BadRequestError", "code": 400}}
    answers = vllm_answers() | {"/v1/chat/completions": answer(refusal, 400)}
    assert (await look_at(canned(answers))).parses_tools is parses


async def test_a_vllm_too_busy_to_say_whether_it_parses_serves_and_is_asked_again() -> None:
    quick, asked = canned(vllm_answers()), list[str]()

    async def busy(target: str, writer: StreamWriter) -> None:
        asked.append(target)  # a chat route is looked for, then asked
        is_chat = asked.count("/v1/chat/completions") == 2
        await (silent if is_chat else quick)(target, writer)

    first = await look_at(busy, timeout_ms=BETWEEN_MS)
    assert (first.outcome, first.parses_tools) == ("serving", None)
    async with stranger(quick) as port:
        again = await look(local_address(port), timeout_ms=TIMEOUT_MS, known=first)
    assert again.parses_tools
