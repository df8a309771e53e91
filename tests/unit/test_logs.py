"""Log lines: fields, formats, and no secrets in any of them."""

import json
import logging

import pytest

from tokenmill.logs import JsonFormatter, PrettyFormatter, redact

SECRET = "0a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZabcdEF"


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("a.logger", logging.INFO, "file", 1, message, arguments, None)
    vars(made).update(extra)
    return made


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        # Keys, wherever they stand.
        (f"key pk_live_{SECRET} refused", "key pk_live_… refused"),
        (f"key dt_live_{SECRET}", "key dt_live_…"),
        (f"Authorization: Bearer pk_live_{SECRET}", "Authorization: Bearer …"),
        ("Authorization: Bearer sk-other-kind", "Authorization: Bearer …"),
        ("authorization: bearer x.y.z,", "authorization: bearer …,"),
        # In a URL: the value ends where the next parameter begins.
        (f"GET /v1/models?api_key={SECRET}&x=1", "GET /v1/models?api_key=…&x=1"),
        ('{"api_key=abc"}', '{"api_key=…"}'),
        # What is no secret stays.
        ("tokens: 12, key id 7", "tokens: 12, key id 7"),
    ],
)
def test_secrets_are_taken_out(text: str, clean: str) -> None:
    assert redact(text) == clean


@pytest.mark.parametrize(
    "formatter", [JsonFormatter("worker-0"), PrettyFormatter("worker-0", coloured=False)]
)
def test_no_part_of_a_record_keeps_a_secret(formatter: logging.Formatter) -> None:
    made = record("key %s", f"pk_live_{SECRET}", url=f"http://x/?api_key={SECRET}")
    try:
        raise ValueError(f"Bearer {SECRET}")
    except ValueError as error:
        made.exc_info = (ValueError, error, error.__traceback__)
    assert SECRET not in formatter.format(made)


def test_a_json_line_has_the_fields_of_extra() -> None:
    line = json.loads(JsonFormatter("control").format(record("did %d", 3, engine="vllm")))
    assert line["message"] == "did 3"
    assert line["engine"] == "vllm"
    assert (line["process"], line["level"]) == ("control", "info")
    assert line["time"].endswith("Z")


def test_a_pretty_line_is_one_line_without_colours_where_none_are_wanted() -> None:
    line = PrettyFormatter("control", coloured=False).format(record("did it", engine="vllm"))
    assert line.endswith("control   did it  engine=vllm")
    assert "\x1b" not in line


def test_a_coloured_line_says_the_same() -> None:
    assert "\x1b[36m" in PrettyFormatter("control", coloured=True).format(record("did it"))
