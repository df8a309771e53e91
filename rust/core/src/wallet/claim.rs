//! Finding a free cell: what one process remembers about where it found the last one.

use super::cell::{CELL_WORDS, STATE, Stage, State};
use super::words::Words;
use super::{Hold, Wallet};

/// Cells that a process goes round in at first: few enough to stay in a cache.
const WINDOW_MIN: u32 = 256;

/// After a look at every cell that found none, only as many are looked at until
/// [`REST_NS`] have passed: a full table must not cost every refused request a walk through it.
const QUICK_LOOK: u32 = 64;
const REST_NS: u64 = 5_000_000;

/// Claims cells for one owner. Not shared by processes; what it remembers are hints.
#[derive(Debug)]
pub struct Claimer {
    owner: u16,
    first: u32,
    window: u32,
    cursor: u32,
    /// Taken cells that this lap has met.
    misses: u32,
    high: u64,
    full_since_ns: Option<u64>,
}

impl Claimer {
    /// A claimer for an owner of cells: a worker's slot, or [`super::CONTROL`].
    pub fn new(owner: u16) -> Self {
        Self {
            owner,
            first: if owner == super::CONTROL {
                0
            } else {
                u32::from(owner) * WINDOW_MIN
            },
            window: WINDOW_MIN,
            cursor: 0,
            misses: 0,
            high: 0,
            full_since_ns: None,
        }
    }

    /// A free cell, now HOLDING and the owner's; `None` when there is none.
    pub(super) fn claim<W: Words>(&mut self, wallet: &Wallet<'_, W>, now_ns: u64) -> Option<Hold> {
        let count = u32::try_from(wallet.map.cells_max).unwrap_or(u32::MAX);
        let is_resting = self
            .full_since_ns
            .is_some_and(|since_ns| now_ns < since_ns.saturating_add(REST_NS));
        // Every window up to the whole table is gone round once.
        let looks = if is_resting {
            QUICK_LOOK
        } else {
            count.saturating_mul(2)
        };
        self.window = self.window.min(count);
        for _ in 0..looks {
            let cell = (self.first % count + self.cursor) % count;
            if let Some(hold) = self.try_claim(wallet, cell) {
                self.full_since_ns = None;
                self.advance(count);
                return Some(hold);
            }
            self.misses += 1;
            self.advance(count);
        }
        if !is_resting {
            self.full_since_ns = Some(now_ns);
        }
        None
    }

    fn try_claim<W: Words>(&mut self, wallet: &Wallet<'_, W>, cell: u32) -> Option<Hold> {
        let state = wallet.state(cell);
        if state.stage != Stage::Free {
            return None;
        }
        if self.high <= u64::from(cell) {
            // Before the claim: who walks over the claimed cells must meet this one.
            self.high = u64::from(cell) + 1;
            wallet.words.raise(wallet.map.high, self.high);
        }
        let generation = state.generation.wrapping_add(1).max(1);
        let claimed = State {
            generation,
            owner: self.owner,
            stage: Stage::Holding,
        };
        let at = wallet.map.cells + cell as usize * CELL_WORDS + STATE;
        let is_mine = wallet.words.swap(at, state.word(), claimed.word());
        is_mine.then_some(Hold { cell, generation })
    }

    /// The window grows when half of it is taken and shrinks when nearly all of it is free.
    fn advance(&mut self, count: u32) {
        self.cursor += 1;
        if self.cursor < self.window {
            return;
        }
        if self.misses > self.window / 2 && self.window < count {
            self.window = self.window.saturating_mul(2).min(count);
        } else {
            self.cursor = 0;
            if self.misses < self.window / 16 {
                self.window = (self.window / 2).max(WINDOW_MIN.min(count));
            }
        }
        self.misses = 0;
    }
}
