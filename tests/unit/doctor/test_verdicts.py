"""The doctor's verdicts: what is fine, what is odd, what fails, and that advice comes with it."""

import tomllib
from pathlib import Path

import pytest

from tokenmill.doctor import verdicts
from tokenmill.doctor.verdicts import Level, Verdict
from tokenmill.engines.recognition import Sighting

GIB = 1 << 30
NOW = 2_000_000_000.0


@pytest.mark.parametrize(
    ("verdict", "level"),
    [
        (verdicts.judge_python((3, 11, 0)), "ok"),
        (verdicts.judge_python((3, 10, 9)), "fail"),
        (verdicts.judge_granian("2.8.7"), "ok"),
        # Leaned on by its private parts: another version is not a detail.
        (verdicts.judge_granian("2.8.8"), "fail"),
        (verdicts.judge_granian(""), "fail"),
        (verdicts.judge_engine_software("0.9.5", "", has_gpu=False), "ok"),
        (verdicts.judge_engine_software("", "/bin/vllm", has_gpu=True), "ok"),
        # An engine elsewhere is enough, so nothing fails.
        (verdicts.judge_engine_software("", "", has_gpu=False), "warn"),
        (verdicts.judge_state("/s", "", 10 * GIB), "ok"),
        (verdicts.judge_state("/s", "", GIB // 2), "warn"),
        (verdicts.judge_state("/s", "", 1), "fail"),
        (verdicts.judge_state("/s", "cannot be written", 10 * GIB), "fail"),
        (verdicts.judge_secrets([]), "ok"),
        (verdicts.judge_secrets(["/s/local_key"]), "fail"),
        (verdicts.judge_house(0, "", is_stale=True), "ok"),
        (verdicts.judge_house(7, "http://x", is_stale=False), "ok"),
        (verdicts.judge_service(["m"], 1, ""), "ok"),
        (verdicts.judge_service([], 1, ""), "fail"),
        (verdicts.judge_service(["m"], 0, ""), "fail"),
        (verdicts.judge_service([], 0, "control does not answer"), "fail"),
        (verdicts.judge_port("port", 80, "", is_free=True, is_ours=False), "ok"),
        (verdicts.judge_port("port", 80, "", is_free=False, is_ours=True), "ok"),
        (verdicts.judge_port("port", 80, "process 1", is_free=False, is_ours=False), "fail"),
        # Metrics are not worth an outage.
        (verdicts.judge_port("metrics port", 80, "", is_free=False, is_ours=False), "warn"),
        (verdicts.judge_files(-1, 20_000), "ok"),
        (verdicts.judge_files(20_256, 20_000), "ok"),
        (verdicts.judge_files(20_255, 20_000), "warn"),
        (verdicts.judge_clock(NOW, NOW - 100, 0.0), "ok"),
        (verdicts.judge_clock(NOW, NOW + 59, 0.0), "ok"),
        (verdicts.judge_clock(NOW, NOW + 61, 0.0), "fail"),
        (verdicts.judge_clock(NOW, NOW, 0.2), "warn"),
        (verdicts.judge_clock(NOW, NOW, -0.2), "warn"),
        (verdicts.judge_database("/db", "0002", "", "0002"), "ok"),
        (verdicts.judge_database("/db", "0001", "", "0002"), "ok"),
        (verdicts.judge_database("/db", None, "", "0002"), "ok"),
        (verdicts.judge_database("/db", None, "refused", "0002"), "fail"),
        (verdicts.judge_redis("redis://h", "", "7.0.15", "noeviction"), "ok"),
        (verdicts.judge_redis("redis://h", "", "7.0.15", "allkeys-lru"), "warn"),
        (verdicts.judge_redis("redis://h", "refused", "", ""), "fail"),
        (verdicts.judge_engine("a", Sighting(outcome="serving"), is_named=True), "ok"),
        (verdicts.judge_engine("a", Sighting(outcome="loading"), is_named=True), "warn"),
        (verdicts.judge_engine("a", Sighting(outcome="refused"), is_named=True), "fail"),
        (verdicts.judge_engine("a", Sighting(outcome="locked"), is_named=True), "fail"),
        # A port that is merely tried may hold nothing, or something else.
        (verdicts.judge_engine("a", Sighting(outcome="refused"), is_named=False), "ok"),
        (verdicts.judge_engine("a", Sighting(outcome="foreign"), is_named=False), "ok"),
    ],
)
def test_verdict(verdict: Verdict, level: Level) -> None:
    assert verdict.level == level
    assert verdict.found
    if level == "fail":
        assert verdict.advice


def test_only_a_failure_makes_the_exit_status_1() -> None:
    fine = Verdict(check="a", level="ok", found="b")
    odd = Verdict(check="a", level="warn", found="b")
    failed = Verdict(check="a", level="fail", found="b")
    assert verdicts.exit_status([fine, odd]) == 0
    assert verdicts.exit_status([fine, failed, odd]) == 1


def test_the_version_of_granian_is_the_one_that_is_installed_with_us() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert f"granian=={verdicts.GRANIAN}" in project["project"]["dependencies"]
