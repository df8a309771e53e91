"""The hot segment between processes: what one writes the others read, and a writer that is killed
at any instruction leaves a table that readers and the next writer can use."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.key_writer import KEYS, is_whole, put, secret
from tokenmill._native import COUNTERS, HISTOGRAMS, KeyEntry, KeyRefusal, Segment, WorkerState
from tokenmill.keys import rules

ROUNDS = 12


@contextmanager
def key_writer(path: str, seed: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.support.key_writer", path, str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("keys_max", [KEYS, 4 * KEYS])
def test_a_writer_killed_at_any_instruction_leaves_a_usable_table(
    tmp_path: Path, keys_max: int
) -> None:
    path = str(tmp_path / "hot.segment")
    segment = Segment.create(path, keys_max=keys_max, workers_max=1, engines_max=1)
    chance = random.Random(1)
    for seed in range(ROUNDS):
        with key_writer(path, seed) as writer:
            reads_until = time.monotonic() + chance.uniform(0.001, 0.05)
            while time.monotonic() < reads_until:
                answers = [segment.find_key(secret(number), 0) for number in range(KEYS)]
                assert all(map(is_whole, answers))
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        answers = [segment.find_key(secret(number), 0) for number in range(KEYS)]
        assert all(map(is_whole, answers))
        # The next writer: control loads what the database has, here every other key.
        segment.begin_key_load()
        for number in range(0, KEYS, 2):
            put(segment, number, 7)
        segment.end_key_load()
        assert segment.key_count() == KEYS // 2
        answers = [segment.find_key(secret(number), 0) for number in range(KEYS)]
        assert [answer.key_id for answer in answers[::2] if isinstance(answer, KeyEntry)] == (
            [7] * (KEYS // 2)
        )
        assert {answer for answer in answers[1::2] if isinstance(answer, KeyRefusal)} <= {
            KeyRefusal.REVOKED,
            KeyRefusal.UNKNOWN,
        }


def test_a_revocation_holds_for_every_process_at_once(tmp_path: Path) -> None:
    """A reader in another process never sees a key open after its revocation returned."""
    path = str(tmp_path / "hot.segment")
    segment = Segment.create(path, keys_max=8, workers_max=1, engines_max=1)
    reader = (
        "import sys\n"
        "from tokenmill._native import Segment, KeyEntry\n"
        "segment = Segment.attach(sys.argv[1])\n"
        "for line in sys.stdin.buffer:\n"
        "    found = segment.find_key(line.strip(), 0)\n"
        "    print(isinstance(found, KeyEntry), flush=True)\n"
    )
    command = [sys.executable, "-c", reader, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(200):
            put(segment, number, 1)
            assert ask(process, number) == b"True\n"
            assert segment.revoke_key(rules.digest(secret(number).decode()))
            assert ask(process, number) == b"False\n"
        process.stdin.close()


def ask(process: subprocess.Popen[bytes], number: int) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(secret(number) + b"\n")
    process.stdin.flush()
    return process.stdout.readline()


def test_counts_of_many_processes_add_up(tmp_path: Path) -> None:
    path = str(tmp_path / "hot.segment")
    segment = Segment.create(path, keys_max=8, workers_max=2, engines_max=1)
    streams = COUNTERS.index("tokenmill_streams_total")
    counting = (
        "import sys\n"
        "from tokenmill._native import Segment\n"
        "segment = Segment.attach(sys.argv[1])\n"
        f"for _ in range(50_000): segment.count(int(sys.argv[2]) % 2, {streams})\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", counting, path, str(number)]) for number in range(4)
    ]
    assert [process.wait(30) for process in processes] == [0] * 4
    assert segment.totals()[streams] == 200_000


def test_histograms_come_out_as_prometheus_wants_them(segment: Segment) -> None:
    for value_ms in (3, 5, 30, 10**9):
        segment.observe(1, 0, value_ms)
    totals = dict(zip(COUNTERS, segment.totals(), strict=True))
    name = "tokenmill_first_byte_milliseconds"
    buckets = [totals[f'{name}_bucket{{le="{bound}"}}'] for bound in ("5", "25", "50", "+Inf")]
    assert buckets == [2, 2, 3, 4]
    assert (totals[f"{name}_count"], totals[f"{name}_sum"]) == (4, 1_000_000_038)


def test_times_are_those_of_python(segment: Segment) -> None:
    before_ms = time.monotonic_ns() // 1_000_000
    segment.beat(0)
    assert before_ms <= segment.heartbeat_ms(0) <= time.monotonic_ns() // 1_000_000


def test_worker_slots(segment: Segment) -> None:
    segment.set_worker_state(3, WorkerState.DRAINING)
    segment.set_drain(3, 12_345)
    assert (segment.worker_state(3), segment.drain_deadline_ms(3)) == (WorkerState.DRAINING, 12_345)
    segment.set_worker_state(3, WorkerState.FREE)
    assert (segment.worker_state(3), segment.drain_deadline_ms(3)) == (WorkerState.FREE, 0)


@pytest.mark.parametrize(
    "deed",
    [
        lambda segment: segment.beat(4),
        lambda segment: segment.engine_in_flight(4),
        lambda segment: segment.count(0, len(COUNTERS)),
        lambda segment: segment.observe(0, len(HISTOGRAMS), 1),
    ],
)
def test_slots_that_are_not_there_are_index_errors(segment: Segment, deed: object) -> None:
    assert callable(deed)
    with pytest.raises(IndexError, match="there are"):
        deed(segment)


def test_wrong_arguments_are_value_errors(segment: Segment) -> None:
    rest = {"key_id": 1, "account_id": 1, "tier": 0, "scopes": 1}
    with pytest.raises(ValueError, match="32 bytes, not 5"):
        segment.put_key(b"short", **rest, expires_at_s=0)
    with pytest.raises(ValueError, match="expires_at_s is at most"):
        segment.put_key(bytes(32), **rest, expires_at_s=1 << 40)
    with pytest.raises(ValueError, match="64 bytes each; 3 are left over"):
        segment.put_keys(bytes(67))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: b"", "truncated"),
        (lambda data: data[:60], "truncated"),
        (lambda data: data[:-4096], "truncated or grown"),
        (lambda data: data + bytes(4096), "truncated or grown"),
        (lambda data: bytes(len(data)), "magic"),
        (lambda data: b"SQLite format 3\0" + data[16:], "magic"),
        (lambda data: data[:8] + b"\xff" + data[9:], "layout version: 255"),
        (lambda data: data[:32] + b"\xff" + data[33:], "damaged"),
    ],
)
def test_files_that_are_no_segment_are_refused_by_name(
    segment: Segment, tmp_path: Path, spoil: object, words: str
) -> None:
    assert callable(spoil)
    spoiled = tmp_path / "spoiled.segment"
    spoiled.write_bytes(spoil((tmp_path / "hot.segment").read_bytes()))
    with pytest.raises(ValueError, match=words):
        Segment.attach(str(spoiled))
    made = Segment.create(str(spoiled), keys_max=8, workers_max=1, engines_max=1)
    assert made.key_count() == 0


def test_a_full_disk_says_how_much_is_needed(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system here")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(OSError, match=r"needs \d+ bytes on disk"):
            Segment.create(
                str(folder / "hot.segment"), keys_max=1 << 20, workers_max=1, engines_max=1
            )
        assert list(folder.iterdir()) == []
    finally:
        subprocess.run(["umount", str(folder)], check=True)
