"""What a vLLM's metrics say of its load."""

from tokenmill.engines.load_report import LoadReport, read_load

METRICS = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="tiny-chat"} 3.0
vllm:num_requests_running{engine="1",model_name="tiny-chat"} 2.0
vllm:num_requests_waiting{engine="0",model_name="tiny-chat"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 90.0
vllm:kv_cache_usage_perc{engine="0",model_name="tiny-chat"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="tiny-chat"} 0.875
"""


def test_engine_cores_are_summed_and_the_fullest_cache_counts() -> None:
    assert read_load(METRICS) == LoadReport(running=5, waiting=1, cache_permille=875)


def test_an_older_name_of_the_cache_is_known() -> None:
    text = b"vllm:num_requests_running 1.0\nvllm:gpu_cache_usage_perc 1.0\n"
    assert read_load(text) == LoadReport(running=1, waiting=0, cache_permille=1000)


def test_what_is_no_vllms_text_says_nothing() -> None:
    for text in (b"", b"<html>", b"sglang:num_running_reqs 3.0\n", b"\xff\xfe\n"):
        assert read_load(text) is None


def test_numbers_that_cannot_be_are_left_out() -> None:
    text = b"vllm:num_requests_running 1e99\nvllm:num_requests_waiting -5\n"
    assert read_load(text) is None
    assert read_load(text + b"vllm:num_requests_running 4\n") == LoadReport(4, 0, 0)
