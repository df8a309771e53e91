//! Every target over its corpus and over mutations of it.
//!
//! `TOKENMILL_FUZZ_TIMES=100` runs a hundred times as many, `TOKENMILL_FUZZ_SEED=N` others. A panic
//! prints its input: put it into the corpus.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tokenmill_fuzz::{Dice, TARGETS, Target, mutate};

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

fn check(target: &Target, input: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    assert!(
        outcome.is_ok(),
        "{}: the law is broken by b\"{}\"",
        target.name,
        input.escape_ascii()
    );
}

#[test]
fn the_laws_hold_for_the_corpus_and_its_mutations() {
    let times = number("TOKENMILL_FUZZ_TIMES", 1);
    for target in TARGETS {
        let mut dice = Dice::new(number("TOKENMILL_FUZZ_SEED", 20_261_128));
        let mut inputs = corpus(target);
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        for input in &inputs {
            check(target, input);
        }
        let kept = inputs.len();
        for _ in 0..u64::from(target.smoke_runs) * times {
            let (one, other) = (dice.below(inputs.len()), dice.below(kept));
            let mutated = mutate(&mut dice, &inputs[one], &inputs[other]);
            check(target, &mutated);
            // Mutations of mutations go further from the corpus.
            if inputs.len() < kept + 500 {
                inputs.push(mutated);
            } else {
                let place = kept + dice.below(500);
                inputs[place] = mutated;
            }
        }
    }
}
