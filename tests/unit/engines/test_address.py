"""How engine URLs are spelled, and which are refused."""

import pytest

from tokenmill.engines.address import parse_address

ACCEPTED = [
    # given, the one spelling
    ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
    ("http://gpu-1:8000/v1", "http://gpu-1:8000"),  # what clients call the base URL
    ("gpu-1:8000", "http://gpu-1:8000"),  # no scheme: people type it so
    ("http://gpu-1", "http://gpu-1:80"),
    ("https://gpu-1", "https://gpu-1:443"),
    ("https://gpu-1:8000/v1/", "https://gpu-1:8000"),
    ("http://[::1]:8000", "http://[::1]:8000"),
    ("unix:/run/engine.sock", "unix:/run/engine.sock"),
]

REFUSED = [
    ("ftp://gpu-1:8000", "ftp:// is not supported"),
    ("http://gpu-1:8000/some/path", "without a path"),
    ("http://gpu-1:8000?x=1", "without a path"),
    ("http://", "no host"),
    ("http://two words:80", "no host"),
    ("unix:relative.sock", "must start with /"),
    ("http://gpu-1:99999", "port"),
]


@pytest.mark.parametrize(("given", "url"), ACCEPTED)
def test_every_form_has_one_spelling(given: str, url: str) -> None:
    assert parse_address(given).url == url


@pytest.mark.parametrize(("given", "words"), REFUSED)
def test_what_cannot_be_reached_is_refused_in_words(given: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_address(given)


def test_credentials_in_a_url_are_refused_without_being_repeated() -> None:
    with pytest.raises(ValueError, match="api_key") as refusal:
        parse_address("http://user:hunter2@gpu-1:8000")
    assert "hunter2" not in str(refusal.value)
