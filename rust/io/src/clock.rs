//! The one place of the Rust side that reads clocks. All else takes the time as an argument.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// The clock that Python's `time.monotonic_ns` reads, so that times of both can be compared.
#[cfg(not(target_os = "macos"))]
const MONOTONIC: ClockId = ClockId::Monotonic;
/// On macOS that is `mach_absolute_time`, which stands still while the machine sleeps.
#[cfg(target_os = "macos")]
const MONOTONIC: ClockId = ClockId::UptimeRaw;

/// Nanoseconds of the monotonic clock: one scale for all processes of this boot of the machine.
pub fn monotonic_ns() -> u64 {
    let now: Timespec = clock_gettime(MONOTONIC);
    // Neither part is ever negative on a monotonic clock; 2^64 nanoseconds are 584 years.
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// Milliseconds of the monotonic clock: the unit of deadlines in the hot segment.
pub fn monotonic_ms() -> u64 {
    monotonic_ns() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_run_backwards() {
        let first = monotonic_ns();
        assert!(monotonic_ns() >= first && first > 0);
    }
}
