"""Names in a state folder; a Unix socket's address is short."""

from pathlib import Path

from tokenmill.state_folder import SOCKET_PATH_BYTES_MAX, control_socket


def test_control_listens_in_the_state_folder() -> None:
    assert control_socket(Path("/srv/state")) == Path("/srv/state/control.sock")


def test_a_folder_with_a_long_name_gets_a_short_path_of_its_own() -> None:
    long = Path("/srv") / ("x" * 120)
    other = Path("/srv") / ("y" * 120)
    assert len(str(control_socket(long))) <= SOCKET_PATH_BYTES_MAX
    assert control_socket(long) == control_socket(long)
    assert control_socket(long) != control_socket(other)


def test_length_is_counted_in_bytes() -> None:
    accents = Path("/srv") / ("é" * 60)
    assert len(str(accents)) < SOCKET_PATH_BYTES_MAX
    assert control_socket(accents).parent != accents
