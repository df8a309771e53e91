//! One account in the segment: eight words, one cache line.
//!
//! ```text
//! word 0..2  the account word: available nanos, requests in flight, the last operation
//!      2..4  the bucket of requests a minute
//!      4..6  the bucket of tokens a minute
//!      6     requests a minute | tokens a minute, 0: no limit
//!      7     present | enabled | weight | requests in flight at most, 0: no limit
//! ```

use super::amount::NANOS_MAX;

/// Words of one account.
pub const ACCOUNT_WORDS: usize = 8;

pub(super) const REQUESTS: usize = 2;
pub(super) const TOKENS: usize = 4;
pub(super) const RATES: usize = 6;
pub(super) const TERMS: usize = 7;

const PRESENT: u64 = 1;
const ENABLED: u64 = 2;

/// The largest number of requests that an account can have in flight.
pub const IN_FLIGHT_MAX: u16 = u16::MAX;

/// What an account may do; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Requests a minute.
    pub requests_per_min: u32,
    /// Tokens a minute.
    pub tokens_per_min: u32,
    /// Requests in flight at once.
    pub concurrency_max: u32,
    /// Share of a busy house.
    pub weight: u16,
    /// Whether it may make requests at all.
    pub is_enabled: bool,
}

impl Terms {
    pub(super) fn rates_word(&self) -> u64 {
        u64::from(self.requests_per_min) | u64::from(self.tokens_per_min) << 32
    }

    pub(super) fn terms_word(&self) -> u64 {
        let enabled = if self.is_enabled { ENABLED } else { 0 };
        PRESENT | enabled | u64::from(self.weight) << 16 | u64::from(self.concurrency_max) << 32
    }

    /// `None`: there is no such account.
    #[expect(clippy::cast_possible_truncation, reason = "the parts of the words")]
    pub(super) fn from_words(rates: u64, terms: u64) -> Option<Self> {
        (terms & PRESENT != 0).then_some(Self {
            requests_per_min: rates as u32,
            tokens_per_min: (rates >> 32) as u32,
            concurrency_max: (terms >> 32) as u32,
            weight: (terms >> 16) as u16,
            is_enabled: terms & ENABLED != 0,
        })
    }
}

/// Which of a cell's two operations on its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Reserve = 1,
    Settle = 2,
}

/// One operation on an account, unlike any other of this segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub cell: u32,
    pub generation: u32,
    pub phase: Phase,
}

impl Operation {
    /// How it is noted in its cell: grows with the generation, then with the phase.
    pub fn mark(self) -> u64 {
        u64::from(self.generation) << 2 | self.phase as u64
    }
}

const AVAILABLE_BITS: u32 = 60;
const CELL_BITS: u32 = 18;
const IN_FLIGHT_AT: u32 = AVAILABLE_BITS;
const CELL_AT: u32 = IN_FLIGHT_AT + 16;
const GENERATION_AT: u32 = CELL_AT + CELL_BITS;
const PHASE_AT: u32 = GENERATION_AT + 32;

/// The most cells that an operation can tell apart.
pub const CELLS_BOUND: usize = 1 << 16;

/// What changes with one compare-and-swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AccountWord {
    pub available: i64,
    pub in_flight: u16,
    /// Who made it what it is; `None`: nobody yet.
    pub last: Option<Operation>,
}

impl AccountWord {
    pub fn opening(available: i64) -> Self {
        Self {
            available,
            in_flight: 0,
            last: None,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the fields of the word")]
    pub fn from_bits(bits: u128) -> Self {
        let phase = match bits >> PHASE_AT {
            0 => None,
            1 => Some(Phase::Reserve),
            _ => Some(Phase::Settle),
        };
        let unused = 64 - AVAILABLE_BITS;
        Self {
            available: ((bits as u64) << unused).cast_signed() >> unused,
            in_flight: (bits >> IN_FLIGHT_AT) as u16,
            last: phase.map(|phase| Operation {
                cell: (bits >> CELL_AT) as u32 & ((1 << CELL_BITS) - 1),
                generation: (bits >> GENERATION_AT) as u32,
                phase,
            }),
        }
    }

    pub fn bits(self) -> u128 {
        let available = self.available.cast_unsigned() & ((1 << AVAILABLE_BITS) - 1);
        let last = self.last.map_or(0, |last| {
            u128::from(last.cell) << CELL_AT
                | u128::from(last.generation) << GENERATION_AT
                | (last.phase as u128) << PHASE_AT
        });
        u128::from(available) | u128::from(self.in_flight) << IN_FLIGHT_AT | last
    }

    /// The word with `nanos` more or less. It stays within twice [`NANOS_MAX`]: amounts are
    /// bounded, and what would go further is refused before it is held.
    pub fn with(self, nanos: i64) -> Self {
        let bound = 2 * NANOS_MAX - 1;
        Self {
            available: self.available.saturating_add(nanos).clamp(-bound, bound),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_word_is_its_bits(
            available in -2 * NANOS_MAX..2 * NANOS_MAX, in_flight: u16,
            cell in 0_u32..1 << 18, generation: u32, phase in 0_usize..3,
        ) {
            let phase = [None, Some(Phase::Reserve), Some(Phase::Settle)][phase];
            let last = phase.map(|phase| Operation { cell, generation, phase });
            let word = AccountWord { available, in_flight, last };
            prop_assert_eq!(AccountWord::from_bits(word.bits()), word);
        }

        #[test]
        fn terms_are_their_words(
            requests_per_min: u32, tokens_per_min: u32, concurrency_max: u32, weight: u16,
            is_enabled: bool,
        ) {
            let terms =
                Terms { requests_per_min, tokens_per_min, concurrency_max, weight, is_enabled };
            let words = (terms.rates_word(), terms.terms_word());
            prop_assert_eq!(Terms::from_words(words.0, words.1), Some(terms));
        }
    }

    #[test]
    fn a_new_segment_has_no_account() {
        assert_eq!(Terms::from_words(0, 0), None);
        assert_eq!(AccountWord::from_bits(0), AccountWord::opening(0));
    }
}
