"""What the table says of a key's state."""

import pytest
from msgspec.structs import replace

from tokenmill.keys.shown import state_text
from tokenmill.keys.views import KeyView

NOW_S = 1_000
KEY = KeyView(
    kind="api",
    account_id=1,
    models=(),
    last_used_at_s=0,
    id=1,
    name="ci",
    account="local",
    tier="internal",
    shown="pk_live_AbCd…WxYz",
    scopes=("inference",),
    state="live",
    is_local=False,
    created_at_s=0,
    expires_at_s=0,
    revoked_at_s=0,
)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (KEY, "live"),
        (replace(KEY, expires_at_s=NOW_S + 3_600), "1 hour left"),
        (replace(KEY, state="expired", expires_at_s=NOW_S), "expired"),
        (replace(KEY, state="revoked", expires_at_s=NOW_S + 3_600), "revoked"),
    ],
)
def test_state_text(key: KeyView, text: str) -> None:
    assert state_text(key, NOW_S) == text
