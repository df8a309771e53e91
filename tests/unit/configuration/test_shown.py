"""What people see of settings: values without secrets, and a template that is right."""

import tomllib

from tokenmill.configuration.schema import settings_tree
from tokenmill.configuration.shown import rows, template
from tokenmill.configuration.sources import Sources, resolve
from tokenmill.settings import Settings


def uncommented(text: str) -> str:
    """The template with its settings in force."""
    names = {setting.path.rpartition(".")[2] for setting in settings_tree()}
    lines = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        lines.append(bare if bare.partition(" = ")[0] in names else line)
    return "\n".join(lines)


def test_every_setting_is_shown_once() -> None:
    shown = [row.setting for row in rows(resolve(Sources()))]
    assert shown == [setting.path for setting in settings_tree()]


def test_passwords_and_keys_are_not_shown() -> None:
    document = {
        "database_url": "postgresql://me:hidden@db/tokenmill",
        "engines": [{"url": "http://a:1", "api_key": "hidden"}],
    }
    shown = {row.setting: row.value for row in rows(resolve(Sources(document=document)))}
    assert shown["database_url"] == "postgresql://me:…@db/tokenmill"
    assert shown["engines"] == [{"url": "http://a:1", "api_key": "…"}]


def test_the_template_as_it_is_changes_nothing() -> None:
    assert not any(value for value in tomllib.loads(template()).values())


def test_the_template_holds_every_setting_at_its_default() -> None:
    document = tomllib.loads(uncommented(template()))
    resolved = resolve(Sources(document=document))
    assert resolved.settings == Settings()
    assert {origin.kind for origin in resolved.origins.values()} == {"file"}
