//! Many small houses with deaths and interruptions at every write; see `simulation`.
//!
//! `TOKENMILL_TEST_SEED=N` runs one seed alone; `examples/wallet_simulation.rs` runs as many as
//! wanted.

mod simulation;

const SEEDS: u64 = 300;
const STEPS: u32 = 400;

#[test]
fn money_and_limits_are_exact_through_every_death() {
    if let Ok(seed) = std::env::var("TOKENMILL_TEST_SEED") {
        simulation::run(seed.parse().unwrap(), STEPS);
        return;
    }
    let (mut deaths, mut writes) = (0, 0);
    for seed in 0..SEEDS {
        println!("seed {seed}"); // shown if it fails
        let outcome = simulation::run(seed, STEPS);
        deaths += outcome.deaths;
        writes += outcome.writes;
    }
    assert!(deaths > SEEDS, "hardly anybody died: {deaths}");
    assert!(writes > SEEDS * 1_000, "hardly anything happened: {writes}");
}
