//! The one place of the Rust side that reads clocks. All else takes the time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds of the clock that Python's `time.monotonic_ns` reads: one scale for all processes of
/// this boot of the machine.
#[cfg(not(target_os = "macos"))]
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // Neither part is ever negative on a monotonic clock; 2^64 nanoseconds are 584 years.
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// Nanoseconds of the clock that Python's `time.monotonic_ns` reads: one scale for all processes of
/// this boot of the machine. On macOS that is `mach_absolute_time`, not its `CLOCK_MONOTONIC`.
#[cfg(target_os = "macos")]
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a timespec of ours that outlives the call, which writes nothing else. It
    // fails only for clocks that do not exist; this one is there since macOS 10.12.
    unsafe { libc::clock_gettime(libc::CLOCK_UPTIME_RAW, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// Milliseconds of the monotonic clock: the unit of deadlines in the hot segment.
pub fn monotonic_ms() -> u64 {
    monotonic_ns() / 1_000_000
}

/// Milliseconds since the epoch, for people and the ledger: it may jump, so it decides nothing.
/// Asked of the C library, as Python does: whoever moves its clock for a test moves both.
#[expect(clippy::disallowed_methods, reason = "here is where clocks are read")]
pub fn wall_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
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
