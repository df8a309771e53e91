"""Commands beside `up`, as processes: what they print, for people and for programs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import StartHouse
from tests.support.house import house_command, house_environment, run_house
from tokenmill import __version__
from tokenmill.cli import COMMANDS


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        house_command(*arguments),
        env=house_environment(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version_is_the_packages() -> None:
    assert run("--version").stdout == f"tokenmill {__version__}\n"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_that_help_lists_has_help_with_an_example(name: str) -> None:
    assert name in run("--help").stdout
    shown = run(name, "--help")
    assert shown.returncode == 0, shown.stderr
    assert f"tokenmill {name}" in shown.stdout


def test_a_misspelt_command_is_answered_with_the_right_one() -> None:
    refused = run("docter")
    assert refused.returncode == 2
    assert "did you mean doctor?" in refused.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(shell: str) -> None:
    script = run("completion", shell)
    assert script.returncode == 0
    assert "_TOKENMILL_COMPLETE" in script.stdout


def test_the_bash_completion_completes(tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(run("completion", "bash").stdout)
    pressed = "COMP_WORDS=(tokenmill do); COMP_CWORD=1; _tokenmill_completion tokenmill"
    environment = house_environment()
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    asked = subprocess.run(
        ["bash", "-c", f"source {script}; {pressed}; echo ${{COMPREPLY[@]}}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert asked.stdout.split() == ["doctor"]


def test_config_show_says_where_each_value_came_from(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("workers = 2\n")
    shown = run("config", "show", "--json", "--config", str(file), TOKENMILL_PORT="9000")
    rows = {row["setting"]: row for row in json.loads(shown.stdout)}
    assert rows["workers"]["place"] == f"{file}: workers"
    assert (rows["port"]["value"], rows["port"]["place"]) == (9000, "TOKENMILL_PORT")
    assert rows["host"]["source"] == "default"


def test_doctor_finds_nothing_wrong_with_a_running_house(start_house: StartHouse) -> None:
    house = start_house()
    port = house.url.rpartition(":")[2]
    told = run("doctor", "--json", "--state", str(house.state), TOKENMILL_PORT=port)
    verdicts = {verdict["check"]: verdict for verdict in json.loads(told.stdout)}
    assert [name for name, verdict in verdicts.items() if verdict["level"] == "fail"] == []
    assert str(house.process.pid) in verdicts["house"]["found"]
    assert "revision" in verdicts["database"]["found"]
    assert verdicts["service"]["found"].startswith("serves ")
    assert told.returncode == 0


def test_doctor_says_that_a_house_without_an_engine_serves_nothing(folder: Path) -> None:
    alone = {"TOKENMILL_DISCOVERY_ENABLED": "false"}
    with run_house(folder, command="serve", environment=alone, wants_model=False) as house:
        told = run("doctor", "--json", "--state", str(house.state), TOKENMILL_PORT="0", **alone)
    (service,) = [each for each in json.loads(told.stdout) if each["check"] == "service"]
    assert service["level"] == "fail"
    assert "no_engine" in service["found"] and "--engine" in service["advice"]
    assert told.returncode == 1


def test_doctor_fails_for_an_engine_that_is_named_and_not_there(tmp_path: Path) -> None:
    told = run("doctor", "--state", str(tmp_path / "state"), TOKENMILL_ENGINES="http://127.0.0.1:9")
    assert told.returncode == 1
    assert "refused" in told.stdout and "start the engine" in told.stdout
    assert not (tmp_path / "state").exists()
