//! Offsets of the segment, counted in words.

use std::ops::Range;

use super::word;
use crate::counters::{Counter, EngineCounter};
use crate::keys::{SLOT_WORDS, slots_for};
use crate::wallet::{ACCOUNT_WORDS, CELL_WORDS, CELLS_BOUND, Map};

pub(super) const WORD_BYTES: usize = 8;
/// Words of a cache line: what different processes write stays apart by this.
const LINE_WORDS: usize = 8;
/// Words of a page: the header has one of its own, and the file is a whole number of them.
const PAGE_WORDS: usize = 512;
const WORKER_WORDS: usize = LINE_WORDS;
const ENGINE_WORDS: usize = LINE_WORDS;
/// Words of the prefix table for each cell: a house that can have so many requests at once also
/// wants to remember where as many prompts went. Two megabytes by default.
const PREFIX_WORDS_PER_CELL: usize = 8;

const KEYS_BOUND: usize = 1 << 28;
const WORKERS_BOUND: usize = 1 << 10;
const ENGINES_BOUND: usize = 1 << 12;
const ACCOUNTS_BOUND: usize = 1 << 20;

/// How much a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Live keys.
    pub keys_max: usize,
    /// Worker slots.
    pub workers_max: usize,
    /// Engine slots.
    pub engines_max: usize,
    /// Account numbers are below it.
    pub accounts_max: usize,
    /// Cells.
    pub cells_max: usize,
}

/// A size is zero or over its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeError {
    /// Name of the size.
    pub name: &'static str,
    /// What was asked for.
    pub value: usize,
    /// The largest that is allowed; the smallest is 1.
    pub bound: usize,
}

/// The words of a worker's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerWord {
    /// A `WorkerState`.
    State = 0,
    /// When the worker's event loop last turned, monotonic milliseconds.
    HeartbeatMs = 1,
    /// When its streams end, monotonic milliseconds; 0: it is not draining.
    DrainDeadlineMs = 2,
    /// Requests that wait for a place at an engine.
    Waiting = 3,
    /// When the worker last told the others who waits there, monotonic milliseconds.
    ToldMs = 4,
}

/// The words of an engine's slot, which all workers and control write. What they mean is said in
/// `routing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineWord {
    /// How its requests ended of late: `routing::health::Outcomes`.
    Outcomes = 0,
    /// Whether it is left out: `routing::health::Exclusion`.
    Exclusion = 1,
    /// How soon its streams begin: `routing::health::Pace`.
    Pace = 2,
    /// When its last trial began, monotonic milliseconds.
    TrialMs = 3,
    /// When it came back, monotonic milliseconds; 0: it was always there.
    SinceMs = 4,
    /// What it said of its own load: `routing::Seen`.
    Seen = 5,
    /// Requests that other houses have with it: `routing::Others`.
    Others = 6,
    /// What it was given to compute of late: `routing::Recent`.
    Recent = 7,
}

/// Offsets for one set of sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    sizes: Sizes,
    workers: usize,
    in_flight: usize,
    turns: usize,
    engines: usize,
    counters: usize,
    tallies: usize,
    keys: usize,
    accounts: usize,
    served: usize,
    cells: usize,
    prefixes: usize,
    total: usize,
}

impl Layout {
    /// The layout for these sizes.
    ///
    /// # Errors
    /// [`SizeError`] names the first size that is out of bounds.
    pub fn new(sizes: Sizes) -> Result<Self, SizeError> {
        check("keys_max", sizes.keys_max, KEYS_BOUND)?;
        check("workers_max", sizes.workers_max, WORKERS_BOUND)?;
        check("engines_max", sizes.engines_max, ENGINES_BOUND)?;
        check("accounts_max", sizes.accounts_max, ACCOUNTS_BOUND)?;
        check("cells_max", sizes.cells_max, CELLS_BOUND)?;
        let workers = PAGE_WORDS;
        let in_flight = workers + sizes.workers_max * WORKER_WORDS;
        let turns = in_flight + sizes.engines_max * lines(sizes.workers_max);
        let engines = turns + sizes.engines_max * lines(sizes.workers_max + 1);
        let counters = engines + sizes.engines_max * ENGINE_WORDS;
        let tallies = counters + sizes.workers_max * lines(Counter::COUNT);
        let keys = pages(tallies + sizes.engines_max * lines(EngineCounter::COUNT));
        let accounts = pages(keys + slots_for(sizes.keys_max) * SLOT_WORDS);
        let served = accounts + sizes.accounts_max * ACCOUNT_WORDS;
        let cells = pages(served + sizes.accounts_max);
        let prefixes = pages(cells + sizes.cells_max * CELL_WORDS);
        let total = pages(prefixes + sizes.cells_max * PREFIX_WORDS_PER_CELL);
        Ok(Self {
            sizes,
            workers,
            in_flight,
            turns,
            engines,
            counters,
            tallies,
            keys,
            accounts,
            served,
            cells,
            prefixes,
            total,
        })
    }

    /// The sizes it was made for.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Length of the file.
    pub fn total_bytes(&self) -> usize {
        self.total * WORD_BYTES
    }

    /// Index of a word of a worker's slot.
    ///
    /// # Panics
    /// If there is no such worker slot.
    pub fn worker(&self, worker: usize, word: WorkerWord) -> usize {
        assert!(
            worker < self.sizes.workers_max,
            "there is no worker slot {worker}"
        );
        self.workers + worker * WORKER_WORDS + word as usize
    }

    /// Indices of an engine's in-flight words, by worker.
    ///
    /// # Panics
    /// If there is no such engine slot.
    pub fn in_flight(&self, engine: usize) -> Range<usize> {
        assert!(
            engine < self.sizes.engines_max,
            "there is no engine slot {engine}"
        );
        let start = self.in_flight + engine * lines(self.sizes.workers_max);
        start..start + self.sizes.workers_max
    }

    /// Indices of what each worker says of those who wait for an engine.
    ///
    /// # Panics
    /// If there is no such engine slot.
    pub fn turns(&self, engine: usize) -> Range<usize> {
        assert!(
            engine < self.sizes.engines_max,
            "there is no engine slot {engine}"
        );
        let start = self.turns + engine * lines(self.sizes.workers_max + 1);
        start..start + self.sizes.workers_max
    }

    /// Index of what the account was served that last got a place of the engine.
    ///
    /// # Panics
    /// If there is no such engine slot.
    pub fn floor(&self, engine: usize) -> usize {
        self.turns(engine).end
    }

    /// Indices of what each account was served.
    pub fn served(&self) -> Range<usize> {
        self.served..self.served + self.sizes.accounts_max
    }

    /// Index of a word of an engine's slot.
    ///
    /// # Panics
    /// If there is no such engine slot.
    pub fn engine(&self, engine: usize, word: EngineWord) -> usize {
        assert!(
            engine < self.sizes.engines_max,
            "there is no engine slot {engine}"
        );
        self.engines + engine * ENGINE_WORDS + word as usize
    }

    /// Indices of the table of prefixes.
    pub fn prefixes(&self) -> Range<usize> {
        self.prefixes..self.prefixes + self.sizes.cells_max * PREFIX_WORDS_PER_CELL
    }

    /// Indices of a worker's counters.
    ///
    /// # Panics
    /// If there is no such worker slot.
    pub fn counters(&self, worker: usize) -> Range<usize> {
        assert!(
            worker < self.sizes.workers_max,
            "there is no worker slot {worker}"
        );
        let start = self.counters + worker * lines(Counter::COUNT);
        start..start + Counter::COUNT
    }

    /// Indices of an engine's counters.
    ///
    /// # Panics
    /// If there is no such engine slot.
    pub fn tally(&self, engine: usize) -> Range<usize> {
        assert!(
            engine < self.sizes.engines_max,
            "there is no engine slot {engine}"
        );
        let start = self.tallies + engine * lines(EngineCounter::COUNT);
        start..start + EngineCounter::COUNT
    }

    /// Indices of the slots of the key table.
    pub fn keys(&self) -> Range<usize> {
        self.keys..self.keys + slots_for(self.sizes.keys_max) * SLOT_WORDS
    }

    /// Where accounts and cells lie.
    pub fn wallet(&self) -> Map {
        Map {
            high: word::CELLS_HIGH,
            accounts: self.accounts,
            accounts_max: self.sizes.accounts_max,
            cells: self.cells,
            cells_max: self.sizes.cells_max,
        }
    }
}

fn check(name: &'static str, value: usize, bound: usize) -> Result<(), SizeError> {
    if (1..=bound).contains(&value) {
        return Ok(());
    }
    Err(SizeError { name, value, bound })
}

const fn lines(words: usize) -> usize {
    words.next_multiple_of(LINE_WORDS)
}

const fn pages(words: usize) -> usize {
    words.next_multiple_of(PAGE_WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::COUNT_WORDS;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_two_things_share_a_word(
            keys_max in 1_usize..50, workers_max in 1_usize..12, engines_max in 1_usize..20,
            accounts_max in 1_usize..90, cells_max in 1_usize..90,
        ) {
            let sizes = Sizes { keys_max, workers_max, engines_max, accounts_max, cells_max };
            let layout = Layout::new(sizes).unwrap();
            let mut owners = vec![0_u8; layout.total_bytes() / WORD_BYTES];
            let mut own = |words: Range<usize>| owners[words].iter_mut().for_each(|n| *n += 1);
            own(0..13);
            own(word::KEYS_READY..word::PRICES_GENERATION + 1);
            own(word::CELLS_HIGH..word::CELLS_HIGH + 1);
            own(word::KEY_COUNTS..word::KEY_COUNTS + COUNT_WORDS);
            own(word::CONTROL_HEARTBEAT_MS..word::CONTROL_HEARTBEAT_MS + 1);
            for worker in 0..workers_max {
                let first = layout.worker(worker, WorkerWord::State);
                own(first..layout.worker(worker, WorkerWord::ToldMs) + 1);
                own(layout.counters(worker));
            }
            for engine in 0..engines_max {
                own(layout.in_flight(engine));
                own(layout.turns(engine));
                own(layout.floor(engine)..layout.floor(engine) + 1);
                let first = layout.engine(engine, EngineWord::Outcomes);
                own(first..layout.engine(engine, EngineWord::Recent) + 1);
                own(layout.tally(engine));
            }
            own(layout.keys());
            own(layout.served());
            own(layout.prefixes());
            let map = layout.wallet();
            own(map.accounts..map.accounts + accounts_max * ACCOUNT_WORDS);
            own(map.cells..map.cells + cells_max * CELL_WORDS);
            prop_assert!(owners.iter().all(|count| *count <= 1));
            prop_assert_eq!(layout.total_bytes() % 4096, 0);
            prop_assert_eq!(layout.keys().start % LINE_WORDS, 0);
        }
    }

    #[test]
    fn sizes_out_of_bounds_are_refused_by_name() {
        let sizes = Sizes {
            keys_max: 1,
            workers_max: 0,
            engines_max: 1,
            accounts_max: 1,
            cells_max: 1,
        };
        let error = SizeError {
            name: "workers_max",
            value: 0,
            bound: WORKERS_BOUND,
        };
        assert_eq!(Layout::new(sizes), Err(error));
        let sizes = Sizes {
            keys_max: KEYS_BOUND + 1,
            ..sizes
        };
        assert_eq!(Layout::new(sizes).unwrap_err().name, "keys_max");
    }
}
