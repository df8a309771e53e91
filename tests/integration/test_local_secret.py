"""The file of the local key: private from birth, the same for all who ask, made again when lost."""

import stat
import threading
from pathlib import Path

import pytest

from tokenmill.keys.local_secret import (
    ensure_local_secret,
    local_key_path,
    remove_local_secret,
    replace_local_secret,
)
from tokenmill.keys.rules import is_well_formed, make_secret


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_secret_is_made_once_and_is_private(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state"
    secret = ensure_local_secret(state)
    assert is_well_formed(secret.encode())
    assert ensure_local_secret(state) == secret
    assert (mode(local_key_path(state)), mode(state)) == (0o600, 0o700)
    assert [path.name for path in state.iterdir()] == ["local_key"]


def test_all_who_start_at_once_get_the_same_secret(tmp_path: Path) -> None:
    found: list[str] = []
    line = threading.Barrier(8)

    def ask() -> None:
        line.wait()
        found.append(ensure_local_secret(tmp_path))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("text", ["", "no secret", "pk_live_" + "x" * 42, "\xff\xfe"])
def test_a_file_that_holds_no_secret_is_replaced(tmp_path: Path, text: str) -> None:
    local_key_path(tmp_path).write_text(text, encoding="latin-1")
    secret = ensure_local_secret(tmp_path)
    assert is_well_formed(secret.encode())
    assert local_key_path(tmp_path).read_text() == secret + "\n"


def test_a_file_that_others_may_read_is_closed(tmp_path: Path) -> None:
    ensure_local_secret(tmp_path)
    local_key_path(tmp_path).chmod(0o644)
    ensure_local_secret(tmp_path)
    assert mode(local_key_path(tmp_path)) == 0o600


def test_replacing_and_removing(tmp_path: Path) -> None:
    first = ensure_local_secret(tmp_path)
    other = make_secret("0" * 36)
    replace_local_secret(tmp_path, other)
    assert ensure_local_secret(tmp_path) == other
    assert mode(local_key_path(tmp_path)) == 0o600
    remove_local_secret(tmp_path)
    remove_local_secret(tmp_path)
    assert ensure_local_secret(tmp_path) not in (first, other)
