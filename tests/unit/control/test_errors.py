"""The framework's exceptions in the house's words."""

import pytest
from litestar.exceptions import (
    ClientException,
    HTTPException,
    InternalServerException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)

from tokenmill.control.errors import translate

CASES = [
    # the framework's, status and code of ours
    (NotFoundException(), 404, "not_found"),
    (MethodNotAllowedException(), 405, "method_not_allowed"),
    (ClientException(status_code=413), 413, "request_too_large"),
    (ClientException(status_code=415), 415, "unsupported_media_type"),
    (ClientException(status_code=418), 400, "invalid_request"),  # not in our table
    (ValidationException(), 400, "invalid_request"),
    (InternalServerException(detail="secret"), 500, "internal_error"),
]


@pytest.mark.parametrize(("theirs", "status", "code"), CASES)
def test_every_error_is_one_of_the_table(theirs: HTTPException, status: int, code: str) -> None:
    ours = translate(theirs)
    assert (ours.status, ours.code) == (status, code)
    assert "secret" not in ours.message


def test_a_wrong_field_is_named() -> None:
    theirs = ValidationException(extra=[{"message": "Expected `str`", "key": "account"}])
    ours = translate(theirs)
    assert (ours.message, ours.param) == ("Expected `str`", "account")


@pytest.mark.parametrize("name", ["Allow", "allow"])
def test_allowed_methods_are_passed_on(name: str) -> None:
    ours = translate(MethodNotAllowedException(headers={name: "GET, POST"}))
    assert ours.headers == {"allow": "GET, POST"}
    assert ours.message.endswith("it takes GET, POST.")
