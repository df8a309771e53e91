//! Models of what processes share, run by loom under every interleaving and every value that the
//! memory model lets a load give, with few preemptions: `cargo test -p tokenmill-models
//! --features loom`.
//!
//! A process that dies is one that never goes on: for the key table that is an interleaving like
//! others; the wallet's models also let its cells be rescued.

#![expect(clippy::unwrap_used, reason = "tests")]

mod keys;
mod memory;
mod wallet;

/// Runs `model` under all its schedules with at most `preemptions` of them forced.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(model);
}
