//! What happens next: numbers from a seed.

use std::cell::Cell;

/// Small, fast, and the same everywhere (splitmix64).
pub struct Fate(Cell<u64>);

impl Fate {
    /// The fate of a seed.
    pub fn of(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// A number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15));
        let mut mixed = self.0.get();
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % bound
    }

    /// True once in `bound` times.
    pub fn one_in(&self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}
