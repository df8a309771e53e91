//! Which engine of a pool gets the next request. Pure: loads, time and the seed are arguments.
//!
//! A policy looks at few engines, never at all of them: two drawn by lot, those that hold the
//! longest beginning of the prompt, or those next to a session on a ring. So a decision costs the
//! same in a pool of a thousand. What is known of engines comes through [`Members`], what was sent
//! to them lies in a [`PrefixIndex`], how they fared in words that [`health`] reads and makes.

mod choice;
pub mod health;
mod load;
mod places;
mod prefix_index;
mod prompt;
mod retry_budget;
mod ring;
mod soonest;
mod tail;
mod under_way;

#[cfg(test)]
mod choice_tests;

pub use choice::{Ask, Choice, GUARD_FLOOR, Members, Policy, Standing, choose, guard};
pub use load::{BYTES_PER_WEIGHT, Load, Others, REQUEST, Recent, Seen};
pub use places::{Candidate, pick};
pub use prefix_index::{Holder, PrefixIndex, SET_WORDS};
pub use prompt::{BEGINNINGS_MAX, Beginnings, PROMPT_BYTES_MAX};
pub use retry_budget::RetryBudget;
pub use ring::{Ring, session_point};
pub use tail::Tail;
pub use under_way::UnderWay;

/// Spreads neighbouring numbers, so that a counter will do for a seed. Source: splitmix64.
pub const fn mixed(seed: u64) -> u64 {
    let mut value = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
