"""What the supervisor tells a child arrives as it was said."""

from pathlib import Path

import msgspec
import pytest

from tokenmill.child import ChildSettings, decode_child, encode_child
from tokenmill.settings import EngineSettings, Settings


def test_settings_cross_whole() -> None:
    said = ChildSettings(
        settings=Settings(state=Path("/srv/é"), aliases={"a": "b"}, workers=3),
        control_socket="/srv/control.sock",
        segment="/srv/hot.segment",
        local_engines=(EngineSettings(url="http://127.0.0.1:1", name="embedded"),),
        worker=2,
    )
    assert decode_child(encode_child(said)) == said


def test_a_document_of_another_version_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_child(b'{"settings": {"no_such_setting": 1}}')
