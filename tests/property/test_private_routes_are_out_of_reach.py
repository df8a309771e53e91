"""However an address is written, what is passed to control is not under /control."""

from urllib.parse import unquote_to_bytes

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tokenmill.errors import NotFound
from tokenmill.gateway.control_relay import checked_target

PIECES = st.sampled_from(
    [
        *("/", "//", ".", "..", "%2e", "%2F", "%5c", "\\", "control", "CONTROL", "%63ontrol"),
        *("%2563ontrol", "docs", "keys", ";", "?", "#", "%00", "%20", " ", "a", "%", "\t"),
    ]
)


def resolved(target: str) -> list[str]:
    """The segments as the most generous reader would resolve them: decoded until nothing changes,
    backslashes as slashes, dots and empty segments taken out."""
    # Bytes all along: a text would be encoded anew each time, and grow.
    path = target.split("?", maxsplit=1)[0].split("#", maxsplit=1)[0].encode()
    while (again := unquote_to_bytes(path)) != path:
        path = again
    segments: list[str] = []
    for each in path.decode("latin-1").replace("\\", "/").split("/"):
        name = each.split(";")[0].strip().casefold()
        if name == "..":
            segments = segments[:-1]
        elif name not in ("", "."):
            segments.append(name)
    return segments


@settings(max_examples=600, deadline=None)
@example(raw="/control#")  # found: a literal hash, which readers take for a fragment
@example(raw="/%20/control")  # found: a segment of blanks, which readers may take for an empty one
@example(raw="/a%aaaa")  # found: bytes that are no ASCII
@given(raw=st.lists(PIECES, min_size=1, max_size=6).map(lambda pieces: "/" + "".join(pieces)))
def test_no_spelling_reaches_a_private_route(raw: str) -> None:
    raw = raw.split("?", maxsplit=1)[0]
    path = unquote_to_bytes(raw).decode("latin-1")  # as the server decodes it
    try:
        target = checked_target(path, raw.encode("latin-1"))
    except NotFound:
        return
    assert resolved(target)[:1] != ["control"]
