"""The embedded engine as the supervisor starts it: inherited descriptors, settings, life pipe."""

import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.embedded_engine import Engine, chat_body, demo_model, wait_until_ready
from tokenmill.child import ChildSettings, encode_child
from tokenmill.listening import listen_tcp
from tokenmill.settings import EmbeddedSettings, Settings


class Child:
    """An engine with the end of its life pipe that the supervisor would hold."""

    def __init__(self, engine: Engine, life: int) -> None:
        self.engine = engine
        self.life = life

    def let_go(self) -> None:
        """What the death of the supervisor does."""
        if self.life >= 0:
            os.close(self.life)
            self.life = -1


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    bounds = EmbeddedSettings(sequences_max=3, waiting_max=0)
    settings = Settings(state=tmp_path, model=demo_model(), embedded=bounds)
    with tempfile.TemporaryFile() as document, listen_tcp("127.0.0.1", 0) as listener:
        document.write(encode_child(ChildSettings(settings=settings)))
        document.flush()
        life_read, life_write = os.pipe()
        handed = (listener.fileno(), life_read, document.fileno())
        names = ("--listen-fd", "--life-fd", "--settings-fd")
        flags = [each for pair in zip(names, map(str, handed), strict=True) for each in pair]
        process = subprocess.Popen(
            [sys.executable, "-m", "tokenmill.engines.embedded", *flags],
            pass_fds=handed,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        os.close(life_read)
        port = listener.getsockname()[1]
    child = Child(Engine(port, process), life_write)
    try:
        wait_until_ready(child.engine)
        yield child
    finally:
        child.let_go()
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def test_it_serves_on_the_inherited_socket_with_the_settings_bounds(child: Child) -> None:
    assert child.engine.chat("Hello!")["choices"][0]["finish_reason"] == "stop"
    for choices, expected in ((3, 200), (4, 400)):
        body = chat_body("Hello!", n=choices)
        assert child.engine.call("/v1/chat/completions", body)[0] == expected


def test_it_ends_its_streams_and_leaves_when_the_supervisor_is_gone(child: Child) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", child.engine.port, timeout=30)
    with closing(connection):
        body = chat_body("Hello!", stream=True, ignore_eos=True, max_tokens=300)
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        response = connection.getresponse()
        response.readline()
        child.let_go()
        assert response.read().endswith(b"data: [DONE]\n\n")
    assert child.engine.process.wait(30) == 0


def test_it_says_that_it_loads_until_it_serves() -> None:
    with listen_tcp("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tokenmill.engines.embedded", "--port", str(port)]
    process = subprocess.Popen([*command, "--model", demo_model()], stderr=subprocess.PIPE)
    engine = Engine(port, process)
    answers = set()
    try:
        while 200 not in answers:
            assert process.poll() is None
            try:
                answers.add(engine.call("/v1/models")[0])
            except OSError:
                continue
        assert answers <= {200, 503}
        assert engine.call("/version")[0] == 200
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
