"""What a reload takes over and whom it replaces."""

from msgspec.structs import replace

from tokenmill.settings import EmbeddedSettings, SegmentSettings, Settings
from tokenmill.supervisor.reload import keep_fixed, roles_to_renew

BEFORE = Settings()


def test_what_is_bound_or_locked_stays_as_it_was() -> None:
    after = replace(BEFORE, port=9, segment=SegmentSettings(keys_max=9), workers=3)
    assert keep_fixed(BEFORE, after) == replace(BEFORE, workers=3)


def test_the_engine_is_left_alone_unless_its_settings_changed() -> None:
    assert roles_to_renew(BEFORE, replace(BEFORE, workers=3)) == ("control", "worker")
    changed = replace(BEFORE, embedded=EmbeddedSettings(threads=2))
    assert roles_to_renew(BEFORE, changed) == ("engine", "control", "worker")
