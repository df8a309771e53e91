//! Fuzz targets: functions from bytes to nothing, which panic where a law of the product is broken.
//!
//! Each target is a file that states its law in its first line. `tests/smoke.rs` runs all of them
//! over `corpus/TARGET/*` (found crashes are committed there) and over mutations of these files, on
//! stable Rust and from fixed seeds; `fuzz_targets/campaign.rs` runs any of them under cargo-fuzz.

mod answer;
mod grammar;
mod header;
mod lift;
mod mutation;
mod segment;
mod whole;

pub use mutation::{Dice, mutate};

/// A target and its name, which is that of its corpus.
pub struct Target {
    /// The folder in `corpus`.
    pub name: &'static str,
    /// Panics where the law is broken.
    pub run: fn(&[u8]),
    /// How many mutations of it make a smoke test: some touch files.
    pub smoke_runs: u32,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "answer",
        run: answer::run,
        smoke_runs: 100_000,
    },
    Target {
        name: "whole",
        run: whole::run,
        smoke_runs: 100_000,
    },
    Target {
        name: "header",
        run: header::run,
        smoke_runs: 100_000,
    },
    Target {
        name: "lift",
        run: lift::run,
        smoke_runs: 100_000,
    },
    Target {
        name: "grammar",
        run: grammar::run,
        smoke_runs: 20_000,
    },
    Target {
        name: "segment",
        run: segment::run,
        smoke_runs: 500,
    },
];
