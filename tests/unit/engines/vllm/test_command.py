"""The command line of a supervised vLLM."""

from tokenmill.engines.vllm.command import serve_command, serve_environment
from tokenmill.settings import Settings, VllmSettings


def test_the_operators_arguments_come_last_and_so_win() -> None:
    settings = Settings(model="m", vllm=VllmSettings(arguments=("--max-model-len", "100")))
    command = serve_command(settings, "/bin/vllm", 41000)
    assert command[:3] == ["/bin/vllm", "serve", "m"]
    assert command[-2:] == ["--max-model-len", "100"]


def test_the_engine_listens_on_loopback_only() -> None:
    command = serve_command(Settings(model="m"), "vllm", 41000)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "41000"


def test_streams_may_end_for_as_long_as_the_house_drains() -> None:
    command = serve_command(Settings(model="m", drain_seconds=2.5), "vllm", 1)
    assert command[command.index("--shutdown-timeout") + 1] == "3"


def test_a_command_of_the_operators_replaces_ours() -> None:
    settings = Settings(model="m", vllm=VllmSettings(command=("/opt/run", "x")))
    assert serve_command(settings, "/bin/vllm", 1)[:3] == ["/opt/run", "x", "m"]


def test_vllm_reports_to_nobody_whatever_the_environment_says() -> None:
    environment = serve_environment({"VLLM_NO_USAGE_STATS": "0", "VLLM_HOST_IP": "10.0.0.1"})
    assert environment["VLLM_NO_USAGE_STATS"] == environment["DO_NOT_TRACK"] == "1"
    assert environment["VLLM_HOST_IP"] == "10.0.0.1"  # the operator may know better here
