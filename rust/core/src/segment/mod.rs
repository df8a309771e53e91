//! Where everything lies in the hot segment: arithmetic. `tokenmill_io::segment` maps the file.
//!
//! The segment is a row of 64-bit words, each an atomic, in this order:
//!
//! ```text
//! header     512 words   what the file is (see `header`), then the few words that change
//! workers    8 a slot    state, heartbeat, drain deadline: one cache line each
//! in flight  a row an engine, a word a worker: what the worker has under way with the engine
//!            (see `crate::routing::UnderWay`)
//! turns      a row an engine: the least that anyone was served who waits for it, by worker, and
//!            what whoever went last was (see `crate::fairness`)
//! engines    8 a slot    how an engine fares: one cache line each
//! counters   a row a worker, a word a counter
//! tallies    a row an engine, a word a counter of engines
//! keys       16 a slot   the key table
//! accounts   8 each      account words, limit clocks, limits: one cache line each
//! served     1 each      what the account was served while others waited
//! cells      24 each     requests until they are in the ledger
//! prefixes   8 a cell    which engine was sent which beginning of a prompt
//! ```
//! Any change of this order, of a size or of what a word means raises [`LAYOUT_VERSION`]: processes
//! of another version then make a new file beside this one and never read it.

mod header;
mod layout;

pub use header::{AttachError, BootId, HEADER_BYTES, Header, check_header, header_words};
pub use layout::{EngineWord, Layout, SizeError, Sizes, WorkerWord};

/// Raised with every change of what the words of the segment mean.
pub const LAYOUT_VERSION: u64 = 7;

/// Words of the header that change while the house is up. The first four are read with every
/// request and seldom written; the key writer's own words have a cache line to themselves.
pub mod word {
    /// 1 once control has loaded the keys from the database.
    pub const KEYS_READY: usize = 16;
    /// Generation of the fleet snapshot.
    pub const FLEET_GENERATION: usize = 17;
    /// 1 once control has loaded the accounts from the database.
    pub const ACCOUNTS_READY: usize = 18;
    /// Generation of the prices that accounts have of their own.
    pub const PRICES_GENERATION: usize = 19;
    /// Worker slots that were ever used: the rest of a row of words by worker is not read.
    pub const WORKERS_HIGH: usize = 20;
    /// First of the counts of the key table.
    pub const KEY_COUNTS: usize = 24;
    /// When control's event loop last turned, monotonic milliseconds.
    pub const CONTROL_HEARTBEAT_MS: usize = 40;
    /// How many cells were ever claimed.
    pub const CELLS_HIGH: usize = 32;
}
