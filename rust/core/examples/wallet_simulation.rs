//! The simulator of the wallet by hand: `wallet_simulation --seed N` replays one house,
//! `--count N` runs many and says how fast.

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use std::time::Instant;

const STEPS: u32 = 400;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|each| each == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    if let Some(seed) = value("--seed") {
        println!("{:?}", simulation::run(seed, STEPS));
        return;
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "a program that says how long it took"
    )]
    let began = Instant::now();
    let (mut deaths, mut writes, count) = (0, 0, value("--count").unwrap_or(1_000));
    for seed in 0..count {
        let outcome = simulation::run(seed, STEPS);
        deaths += outcome.deaths;
        writes += outcome.writes;
    }
    let took = began.elapsed();
    println!("{count} seeds, {deaths} deaths, {writes} writes in {took:.1?}: all held");
}
