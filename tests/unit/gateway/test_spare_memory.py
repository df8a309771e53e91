"""When a worker gives memory back: once for each burst, when it is over."""

from pathlib import Path

from tokenmill.gateway.spare_memory import BURST, SpareMemory, give_back


def looks(spare: SpareMemory, *in_flight: int) -> list[bool]:
    return [spare.is_due(count) for count in in_flight]


def test_a_burst_that_is_over_is_due_once() -> None:
    assert looks(SpareMemory(), 10, BURST, 0, 0, 0, 0) == [False, False, False, True, False, False]


def test_what_goes_on_beside_it_does_not_matter() -> None:
    assert looks(SpareMemory(), 8 * BURST, BURST, BURST)[-1]
    assert not any(looks(SpareMemory(), 8 * BURST, BURST + 1, BURST + 1, BURST + 1))


def test_a_burst_that_comes_again_is_not_over() -> None:
    assert looks(SpareMemory(), BURST, 0, BURST, 0, 0) == [False, False, False, False, True]


def test_few_requests_leave_too_little() -> None:
    assert not any(looks(SpareMemory(), BURST - 1, 0, 0, 0, 0))


def test_what_was_freed_is_no_longer_resident() -> None:
    kept = []
    freed = [bytes(3_000) for _ in range(40_000)]  # too large for Python's own arenas
    kept.append(bytes(3_000))  # above them all, so that the heap cannot shrink from its end
    del freed
    before = resident_kib()
    give_back()
    assert resident_kib() < before - 60_000
    assert kept


def resident_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
