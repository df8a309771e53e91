//! Permits a minute: how much a bucket gives now, and when it gives more. Pure arithmetic.
//!
//! A bucket holds one minute's quota and refills evenly, so in any `t` seconds it gives at most
//! `quota × (1 + t/60)` permits. A permit is a request or a token; this knows neither, no clock
//! (the time is monotonic nanoseconds, an argument) and no memory: whoever shares a bucket between
//! processes swaps its 128 bits.
//!
//! This is the generic cell rate algorithm with one change: instead of a theoretical arrival time
//! it keeps what is spent, in units of a permit divided by the nanoseconds of a minute. Every
//! amount is then a whole number for every quota, nothing is rounded while permits are taken, and
//! a quota that changes keeps what was spent under the old one.

mod bucket;

#[cfg(test)]
mod laws;

pub use bucket::{Bucket, Level, PER_MIN_MAX, Quota, Take, retry_after_ms};
