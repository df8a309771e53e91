use super::*;
use crate::usage::Finish;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn choice(index: u32) -> Choice {
    Choice {
        index,
        finish: None::<Finish>,
    }
}

fn counts(prompt: u64, completion: u64) -> Counts {
    Counts {
        prompt: Some(prompt),
        completion: Some(completion),
        cached: None,
    }
}

#[test]
fn nothing_was_seen_before_the_first_usage() {
    assert_eq!(Meter::default().usage(), Usage::default());
}

#[test]
fn the_total_of_the_last_chunk_wins_and_the_last_total_too() {
    let mut meter = Meter::default();
    meter.take(&counts(7, 5), &[choice(0)]);
    meter.take(&counts(7, 9), &[]);
    meter.take(&counts(7, 6), &[choice(0)]);
    assert_eq!(meter.usage().completion_tokens, 9);
    meter.take(&counts(7, 8), &[]);
    assert_eq!(meter.usage().completion_tokens, 8);
}

#[test]
fn a_usage_beside_several_choices_is_the_request_s() {
    let mut meter = Meter::default();
    meter.take(&counts(7, 5), &[choice(0), choice(1)]);
    assert_eq!(meter.usage().completion_tokens, 5);
}

#[test]
fn a_usage_without_numbers_changes_none() {
    let mut meter = Meter::default();
    meter.take(&counts(7, 5), &[choice(0)]);
    meter.take(&Counts::default(), &[]);
    assert_eq!(meter.usage().prompt_tokens, 7);
    assert_eq!(meter.usage().completion_tokens, 5);
}

proptest! {
    #[test]
    fn the_count_is_the_sum_over_choices_of_the_highest_seen(
        seen in proptest::collection::vec((0_u32..20, 0_u64..1000), 1..60),
    ) {
        let mut meter = Meter::default();
        let mut highest = BTreeMap::new();
        for (index, completion) in seen {
            meter.take(&counts(3, completion), &[choice(index)]);
            let known = highest.entry(index).or_insert(0);
            *known = completion.max(*known);
            prop_assert_eq!(meter.usage().completion_tokens, highest.values().sum::<u64>());
        }
        prop_assert_eq!(meter.usage().prompt_tokens, 3);
    }
}
