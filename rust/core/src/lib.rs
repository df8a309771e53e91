//! The pure heart of tokenmill: no sockets, clock, randomness or Python. Time and seeds are
//! arguments.

#![forbid(unsafe_code)]

pub mod body;
pub mod calls;
pub mod counters;
pub mod fairness;
pub mod grammar;
pub mod keys;
pub mod lift;
pub mod limiter;
pub mod routing;
pub mod segment;
pub mod sse;
mod sync;
pub mod usage;
pub mod wallet;
