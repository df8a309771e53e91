//! The fleet simulator in small: it is deterministic, and our policies do what they are for.

#[path = "../../../benches/routing/simulation/mod.rs"]
#[allow(dead_code, reason = "the bench uses all of it")]
mod simulation;

use simulation::Race;
use simulation::figures::Figures;
use simulation::pickers::{Ours, Picker};
use simulation::rivals::{Random, RoundRobin};
use simulation::traces::{TRACES, Trace};
use tokenmill_core::routing::Policy;

const ENGINES: usize = 6;

fn short(trace: &Trace) -> Trace {
    Trace {
        seconds: 24,
        ..*trace
    }
}

fn run(trace: &Trace, mut picker: impl Picker) -> Figures {
    Race::new(&short(trace), ENGINES, 1).run(&mut picker)
}

fn ours(policy: Policy) -> Ours {
    Ours::new(policy, ENGINES, 1 << 14)
}

#[test]
fn a_race_is_the_same_each_time() {
    let trace = &TRACES[1];
    assert_eq!(
        run(trace, ours(Policy::Prefix)),
        run(trace, ours(Policy::Prefix))
    );
}

#[test]
fn prefixes_are_hit_more_often_than_by_chance_and_no_engine_is_piled_up_on() {
    for trace in &TRACES {
        let prefix = run(trace, ours(Policy::Prefix));
        let chance = run(trace, Random);
        assert!(prefix.requests > 100, "{}: {prefix:?}", trace.name);
        assert!(
            prefix.hit_percent > chance.hit_percent,
            "{}: {prefix:?}",
            trace.name
        );
        assert!(
            prefix.imbalance < chance.imbalance + 0.5,
            "{}: {prefix:?} {chance:?}",
            trace.name
        );
    }
}

#[test]
fn two_choices_balance_better_than_everyone_in_turn() {
    let trace = &TRACES[0];
    let two = run(trace, ours(Policy::PowerOfTwo));
    let turns = run(trace, RoundRobin::default());
    assert!(two.imbalance < turns.imbalance, "{two:?} {turns:?}");
}
