//! Who of those who wait for an engine goes next, and who may wait at all. Pure: what accounts were
//! served and the time are arguments.
//!
//! Accounts share the places at engines by weight. Each has a count of what it was **served**: the
//! time it held places while others waited, divided by its weight. The next free place is for the
//! account that was served least; within an account the first to come is the first to go. The
//! counts are the same for all workers of the machine, so that no account gains by spreading its
//! requests over them.
//!
//! A place is counted at an estimate when it is given and corrected when it is given back: whoever
//! sends few long requests and whoever sends many short ones get the same time.
//!
//! Who was away for long has saved up no more than so much: see [`on_entry`]. The idea is that of
//! virtual token counters (Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024),
//! with time at an engine in place of tokens: that is what there is too little of.

mod line;

pub use line::{Line, Newcomer, Next};

/// How far an account's count may be ahead of those it begins to wait beside: ten minutes of one
/// place. What it used of other engines weighs so much, and no more.
pub const AHEAD_NS_MAX: u64 = 600_000_000_000;

/// How far it may be behind them: ten seconds of one place. Places are counted at an estimate
/// first, so who sends short requests falls behind whoever went last when they are given back.
pub const BEHIND_NS_MAX: u64 = 10_000_000_000;

/// The count of an account that begins to wait, `floor` being that of whoever went last: it has
/// little saved up, and no endless debt.
pub fn on_entry(served: u64, floor: u64) -> u64 {
    served.clamp(
        floor.saturating_sub(BEHIND_NS_MAX),
        floor.saturating_add(AHEAD_NS_MAX),
    )
}

/// What holding a place for so long adds to an account's count.
pub fn share(held_ns: u64, weight: u16) -> u64 {
    held_ns / u64::from(weight.max(1))
}

/// Places and how long one is held: what an engine gives in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supply {
    /// Places that the engine has.
    pub places: u64,
    /// How long one was held of late, on average; 0: not known yet.
    pub held_ns: u64,
}

/// Those before a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Places that have to be given first, in this worker, its own among them.
    pub turns: u64,
    /// Who waits in this worker and in all of them, with the newcomer.
    pub waiting_here: u64,
    /// See above.
    pub waiting_everywhere: u64,
}

/// How long the newcomer will wait, in nanoseconds; `None`: nobody can tell yet. Engines of which
/// nothing is known are taken to be like the others on average: in a large pool there are some.
pub fn expected_wait_ns(ahead: Ahead, supply: impl Iterator<Item = Supply>) -> Option<u64> {
    let (mut places, mut known_places, mut known_per_ms) = (0.0, 0.0, 0.0);
    for engine in supply {
        let of_engine = precise(engine.places);
        places += of_engine;
        if engine.held_ns > 0 {
            known_places += of_engine;
            known_per_ms += of_engine / (precise(engine.held_ns) / 1e6);
        }
    }
    let places_per_ms = known_per_ms / known_places * places;
    let here = precise(ahead.waiting_here) / precise(ahead.waiting_everywhere.max(1));
    let wait_ms = precise(ahead.turns) / (places_per_ms * here.min(1.0));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate above zero; the cast stops at the bounds"
    )]
    wait_ms.is_finite().then_some((wait_ms * 1e6) as u64)
}

#[expect(clippy::cast_precision_loss, reason = "for estimates alone")]
fn precise(number: u64) -> f64 {
    number as f64
}

/// The average with one more observation in it: an eighth of what is new.
pub fn averaged(before: u64, observed: u64) -> u64 {
    if before == 0 {
        return observed;
    }
    let change = (observed.cast_signed() - before.cast_signed()) / 8;
    before.saturating_add_signed(change).max(1)
}

/// Whether a worker may take a place for an account that was served so much, `other` being the
/// least of what those who wait in other workers were served.
pub fn is_first(mine: (u64, usize), other: Option<(u64, usize)>) -> bool {
    other.is_none_or(|other| mine <= other)
}

#[cfg(test)]
mod laws;
