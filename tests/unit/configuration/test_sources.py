"""Settings out of defaults < file < environment < flags, and what is said of wrong ones."""

from pathlib import Path

import pytest

from tokenmill.configuration.problems import SettingsError
from tokenmill.configuration.sources import Origin, Sources, resolve
from tokenmill.settings import EngineSettings, Settings

FILE = "/etc/tokenmill.toml"


def problems(sources: Sources) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        resolve(sources)
    return refused.value.problems


def test_nothing_given_is_the_defaults() -> None:
    resolved = resolve(Sources())
    assert resolved.settings == Settings()
    assert set(resolved.origins.values()) == {Origin("default")}


def test_flags_go_before_environment_before_file_before_defaults() -> None:
    document = {"port": 1001, "workers": 2, "model": "file"}
    environment = {"TOKENMILL_WORKERS": "3", "TOKENMILL_MODEL": "environment"}
    resolved = resolve(
        Sources(file=FILE, document=document, environment=environment, flags={"model": "flag"})
    )
    settings = resolved.settings
    assert (settings.port, settings.workers, settings.model) == (1001, 3, "flag")
    assert resolved.origins["port"] == Origin("file", f"{FILE}: port")
    assert resolved.origins["workers"] == Origin("environment", "TOKENMILL_WORKERS")
    assert resolved.origins["model"] == Origin("flag", "--model")
    assert resolved.origins["host"] == Origin("default")


def test_flags_that_were_not_used_change_nothing() -> None:
    resolved = resolve(Sources(document={"port": 1001}, flags={"port": None, "engines": ()}))
    assert resolved.settings.port == 1001


def test_sections_are_nested_in_the_file_and_joined_by_underscores_in_the_environment() -> None:
    document = {"forward": {"stall_ms": 7}}
    environment = {"TOKENMILL_FORWARD_CONNECT_MS": "8"}
    forward = resolve(Sources(document=document, environment=environment)).settings.forward
    assert (forward.stall_ms, forward.connect_ms) == (7, 8)


@pytest.mark.parametrize(
    ("variable", "text", "path", "value"),
    [
        ("TOKENMILL_DISCOVERY_PORTS", "1, 2", "discovery.ports", (1, 2)),
        ("TOKENMILL_DISCOVERY_PORTS", "", "discovery.ports", ()),
        ("TOKENMILL_ALIASES", "gpt-4=meta/a=b,x=y", "aliases", {"gpt-4": "meta/a=b", "x": "y"}),
        ("TOKENMILL_HTTP_QUERY_API_KEY", "false", "http.query_api_key", False),
        ("TOKENMILL_DRAIN_SECONDS", "2.5", "drain_seconds", 2.5),
        ("TOKENMILL_STATE", "/srv/state", "state", Path("/srv/state")),
        (
            "TOKENMILL_ENGINES",
            "http://a:1,http://b:2",
            "engines",
            (EngineSettings(url="http://a:1"), EngineSettings(url="http://b:2")),
        ),
    ],
)
def test_text_of_the_environment_becomes_values(
    variable: str, text: str, path: str, value: object
) -> None:
    found: object = resolve(Sources(environment={variable: text})).settings
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value


def test_engines_of_a_file_are_urls_or_tables() -> None:
    document = {"engines": ["http://a:1", {"url": "http://b:2", "api_key": "secret"}]}
    engines = resolve(Sources(document=document)).settings.engines
    assert engines == (
        EngineSettings(url="http://a:1"),
        EngineSettings(url="http://b:2", api_key="secret"),
    )


def test_a_state_folder_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve(Sources(flags={"state": "here"})).settings.state == tmp_path / "here"


@pytest.mark.parametrize(
    ("document", "environment", "flags", "words"),
    [
        # A misspelt name: refused where it stands, with the right one.
        ({"prot": 1}, {}, {}, f"{FILE}: prot is not a setting; did you mean port?"),
        (
            {"forward": {"stal_ms": 1}},
            {},
            {},
            f"{FILE}: forward.stal_ms is not a setting; did you mean forward.stall_ms?",
        ),
        (
            {},
            {"TOKENMILL_WORKER": "1"},
            {},
            "TOKENMILL_WORKER is not a setting; did you mean TOKENMILL_WORKERS?",
        ),
        # Like nothing there is: no guess.
        ({"zzzzzz": 1}, {}, {}, f"{FILE}: zzzzzz is not a setting"),
        ({"forward": 3}, {}, {}, f"{FILE}: forward is a section: write [forward]"),
        # A wrong value: where, what, and what is allowed.
        (
            {"workers": 0},
            {},
            {},
            f"{FILE}: workers: 0 is not allowed: a whole number from 1 to 256",
        ),
        # The file has types: text is not a number there.
        (
            {"workers": "2"},
            {},
            {},
            f"{FILE}: workers: '2' is not allowed: a whole number from 1 to 256",
        ),
        (
            {},
            {"TOKENMILL_LOG_FORMAT": "xml"},
            {},
            "TOKENMILL_LOG_FORMAT: 'xml' is not allowed: one of auto, pretty, json",
        ),
        (
            {"routing": {"models": {"mine": "fastest"}}},
            {},
            {},
            f"{FILE}: routing.models: {{'mine': 'fastest'}} is not allowed: a table: one of "
            "prefix, power_of_two, session, by name; in the environment name=value,… "
            "(Invalid enum value 'fastest' - at `$[...]`)",
        ),
        (
            {},
            {},
            {"port": 70_000},
            "--port: 70000 is not allowed: a whole number from 0 to 65535",
        ),
        (
            {},
            {},
            {"drain_seconds": 0},
            "--drain-seconds: 0 is not allowed: a number above 0 up to 86400",
        ),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    document: dict[str, object],
    environment: dict[str, str],
    flags: dict[str, object],
    words: str,
) -> None:
    given = Sources(file=FILE, document=document, environment=environment, flags=flags)
    assert problems(given) == [words]


def test_everything_wrong_is_told_at_once() -> None:
    given = Sources(file=FILE, document={"prot": 1}, environment={"TOKENMILL_PORT": "x"})
    assert len(problems(given)) == 2


def test_a_wrong_engine_does_not_show_its_key() -> None:
    given = Sources(document={"engines": [{"uri": "x", "api_key": "a-secret-of-mine"}]})
    assert "a-secret-of-mine" not in problems(given)[0]


def test_variables_of_the_test_suite_and_of_the_command_line_are_no_settings() -> None:
    environment = dict.fromkeys(
        ["TOKENMILL_TEST_VLLM_URL", "TOKENMILL_REQUIRE", "TOKENMILL_CONFIG"], "x"
    )
    assert resolve(Sources(environment=environment)).settings == Settings()


def test_more_workers_than_a_reload_has_room_for_are_refused() -> None:
    assert problems(Sources(flags={"workers": 33})) == [
        "workers: 33 is too many for segment.workers_max = 64:"
        " a reload runs twice as many for a moment"
    ]


def test_metrics_do_not_take_the_port_of_the_api() -> None:
    assert problems(Sources(flags={"port": 9464})) == [
        "metrics.port: 9464 is the port of the API itself"
    ]


def test_without_a_home_the_state_folder_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(path: Path) -> Path:
        raise RuntimeError(f"no home for {path}")

    monkeypatch.setattr(Path, "expanduser", no_home)
    (problem,) = problems(Sources())
    assert "--state DIR" in problem


def test_a_price_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"prices\.models"):
        resolve(Sources(document={"prices": {"models": {"mine": "cheap"}}}))
