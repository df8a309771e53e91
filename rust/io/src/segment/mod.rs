//! The hot segment: one file-backed shared mapping that all processes of the house work on. Atomics
//! only; there is no lock that a dead process could hold.
//!
//! Where things lie is arithmetic of `tokenmill_core::segment`; this one makes and maps the file.

mod boot;
mod engines;
mod file;
mod money;
mod shared;
mod turns;
mod workers;

#[cfg(test)]
mod tests;

pub use engines::EngineHealth;
pub use workers::WorkerState;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use memmap2::MmapRaw;
use tokenmill_core::counters::{Counter, Histogram, cumulate};
use tokenmill_core::keys::{self, COUNT_WORDS, Digest, KeyRecord, KeyRefusal, KeyTable, TableFull};
use tokenmill_core::routing::UnderWay;
use tokenmill_core::segment::{AttachError, Header, Layout, SizeError, Sizes, WorkerWord, word};
use tokenmill_core::wallet::{CONTROL, Claimer};

/// Why there is no segment.
#[derive(Debug)]
pub enum SegmentError {
    /// The operating system refused; `needed_bytes` is how much room the file wants.
    Io {
        /// What the system said.
        error: io::Error,
        /// Length of the file that was to be made; 0 when attaching.
        needed_bytes: u64,
    },
    /// A size is out of bounds.
    Size(SizeError),
    /// The file is not a segment that this process may use.
    Attach(AttachError),
    /// The file is a segment of other sizes than were asked for.
    OtherSizes,
}

/// The mapping of a hot segment; unmapped when dropped. Shared by `Arc`.
pub struct Segment {
    map: MmapRaw,
    layout: Layout,
    incarnation: u64,
    /// Where control found its last free cell.
    control_cells: Mutex<Claimer>,
    /// Writers of one process take turns; that there is one writing process is the caller's duty.
    writer: Mutex<()>,
}

impl Segment {
    /// The segment at `path`: attached if one of this layout, these sizes and this boot is there,
    /// else made anew beside it and renamed into place. Processes that have the old one mapped keep
    /// it; if it was of this boot, it stays as `PATH.previous` (or `PATH.previous-N`, where there
    /// is one already), for its cells may not be in the ledger yet: one of another layout for
    /// whoever can read it. Either way keys and accounts are not ready: whoever starts the house
    /// loads them again.
    ///
    /// # Errors
    /// [`SegmentError::Size`]; [`SegmentError::Io`], for a full disk too: all blocks are allocated
    /// now, so that no later store can fail.
    pub fn create(path: &Path, sizes: Sizes) -> Result<Self, SegmentError> {
        let layout = Layout::new(sizes).map_err(SegmentError::Size)?;
        let boot = boot::boot_id()?;
        let attached = match file::open(path, boot) {
            Ok((file, found)) if found.layout == layout => Some((file, found)),
            Ok(_) | Err(SegmentError::Attach(AttachError::OtherLayout { .. })) => {
                file::set_aside(path).map_err(SegmentError::reading)?;
                None
            }
            Err(SegmentError::Attach(_)) => None,
            Err(SegmentError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let (file, header) = if let Some(found) = attached {
            found
        } else {
            let incarnation = file::fresh_incarnation().map_err(SegmentError::reading)?;
            let header = Header {
                layout,
                incarnation,
            };
            (file::make(path, &header, boot)?, header)
        };
        let segment = Self::map(&file, header)?;
        segment.word(word::KEYS_READY).store(0, Ordering::Release);
        segment
            .word(word::ACCOUNTS_READY)
            .store(0, Ordering::Release);
        Ok(segment)
    }

    /// The segment that lies at `path`, of these sizes, and all that was said there goes on being
    /// true: workers of the house before still serve from it.
    ///
    /// # Errors
    /// [`SegmentError::OtherSizes`]; as [`Segment::attach`].
    pub fn take_over(path: &Path, sizes: Sizes) -> Result<Self, SegmentError> {
        let found = Self::attach(path)?;
        if found.layout.sizes() == sizes {
            return Ok(found);
        }
        Err(SegmentError::OtherSizes)
    }

    /// The segment that lies at `path`.
    ///
    /// # Errors
    /// [`SegmentError::Attach`] says what is off; [`SegmentError::Io`].
    pub fn attach(path: &Path) -> Result<Self, SegmentError> {
        let (file, header) = file::open(path, boot::boot_id()?)?;
        Self::map(&file, header)
    }

    /// Where things lie, and the sizes.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What a secret opens at `wall_s` (seconds since the epoch).
    ///
    /// # Errors
    /// [`KeyRefusal`], which is an answer and not a failure.
    pub fn find_key(&self, secret: &[u8], wall_s: u64) -> Result<KeyRecord, KeyRefusal> {
        keys::find(&self.keys(), secret, wall_s)
    }

    /// Makes or replaces a key.
    ///
    /// # Errors
    /// [`TableFull`].
    pub fn put_key(&self, digest: Digest, record: &KeyRecord) -> Result<(), TableFull> {
        self.write_keys(|table| table.put(digest, record))
    }

    /// Whether the key was live; it is refused everywhere from the moment that this returns.
    pub fn revoke_key(&self, digest: Digest) -> bool {
        self.write_keys(|table| table.revoke(digest))
    }

    /// Begins a load of all keys; see [`KeyTable::begin_load`].
    pub fn begin_key_load(&self) {
        self.write_keys(|table| table.begin_load());
    }

    /// Revokes what was not put since the load began; returns how many.
    pub fn end_key_load(&self) -> usize {
        self.write_keys(|table| table.end_load())
    }

    /// Live keys.
    pub fn key_count(&self) -> usize {
        self.keys().live_count()
    }

    /// Whether the keys were loaded from the database since the house was started.
    pub fn keys_ready(&self) -> bool {
        self.word(word::KEYS_READY).load(Ordering::Acquire) != 0
    }

    /// Says that they were.
    pub fn set_keys_ready(&self) {
        self.word(word::KEYS_READY).store(1, Ordering::Release);
    }

    /// Generation of the fleet snapshot that lies beside the segment.
    pub fn fleet_generation(&self) -> u64 {
        self.word(word::FLEET_GENERATION).load(Ordering::Acquire)
    }

    /// Says that a snapshot of this generation lies there.
    pub fn publish_fleet(&self, generation: u64) {
        self.word(word::FLEET_GENERATION)
            .store(generation, Ordering::Release);
    }

    /// Generation of the file of prices that accounts have of their own.
    pub fn prices_generation(&self) -> u64 {
        self.word(word::PRICES_GENERATION).load(Ordering::Acquire)
    }

    /// Says that a newer one lies there.
    pub fn publish_prices(&self) {
        self.word(word::PRICES_GENERATION)
            .fetch_add(1, Ordering::Release);
    }

    /// Adds to the requests that `worker` has in flight with `engine`.
    pub fn engine_in_flight_add(&self, worker: usize, engine: usize, delta: i64) {
        self.engine_under_way_add(worker, engine, UnderWay::change(delta, 0));
    }

    /// Adds an [`UnderWay::change`] to what `worker` has under way with `engine`.
    pub fn engine_under_way_add(&self, worker: usize, engine: usize, change: u64) {
        let word = self.own_in_flight(worker, engine);
        word.fetch_add(change, Ordering::Relaxed);
    }

    /// Requests in flight with an engine, over all workers.
    pub fn engine_in_flight(&self, engine: usize) -> u64 {
        self.engine_under_way(engine, Ordering::Relaxed).requests
    }

    /// What all workers have under way with an engine. Cost: a cache line for eight workers.
    fn engine_under_way(&self, engine: usize, ordering: Ordering) -> UnderWay {
        let high = self.word(word::WORKERS_HIGH).load(ordering);
        let row = self.in_flight(engine);
        let used = usize::try_from(high).map_or(row.len(), |high| high.min(row.len()));
        UnderWay::sum(row[..used].iter().map(|word| word.load(ordering)))
    }

    /// The word that `worker` adds to; whoever reads rows knows of it from now on.
    fn own_in_flight(&self, worker: usize, engine: usize) -> &AtomicU64 {
        let high = self.word(word::WORKERS_HIGH);
        if high.load(Ordering::Relaxed) <= worker as u64 {
            high.fetch_max(worker as u64 + 1, Ordering::SeqCst);
        }
        &self.in_flight(engine)[worker]
    }

    /// Requests that a worker has in flight, over all engines.
    pub fn worker_in_flight(&self, worker: usize) -> u64 {
        let engines = 0..self.layout.sizes().engines_max;
        engines
            .map(|engine| self.in_flight(engine)[worker].load(Ordering::Relaxed))
            .map(|word| UnderWay::from_word(word).requests)
            .sum()
    }

    /// Adds to a counter of the worker's row.
    pub fn count(&self, worker: usize, counter: Counter, amount: u64) {
        self.counters(worker)[counter.index()].fetch_add(amount, Ordering::Relaxed);
    }

    /// Adds an observation to a histogram.
    pub fn observe(&self, worker: usize, histogram: Histogram, value_ms: u64) {
        for (counter, amount) in histogram.observe(value_ms) {
            self.count(worker, counter, amount);
        }
    }

    /// Every counter, summed over the rows; buckets of histograms are cumulative here.
    pub fn totals(&self) -> Vec<u64> {
        let mut totals = vec![0_u64; Counter::COUNT];
        for worker in 0..self.layout.sizes().workers_max {
            for (total, word) in totals.iter_mut().zip(self.counters(worker)) {
                *total = total.wrapping_add(word.load(Ordering::Relaxed));
            }
        }
        cumulate(&mut totals);
        totals
    }

    fn map(file: &std::fs::File, header: Header) -> Result<Self, SegmentError> {
        shared::check_atomics().map_err(SegmentError::reading)?;
        let layout = header.layout;
        let map = MmapRaw::map_raw(file).map_err(SegmentError::reading)?;
        if map.len() != layout.total_bytes() {
            // Cut between the check of its length and the mapping.
            let expected_bytes = layout.total_bytes() as u64;
            let found_bytes = map.len() as u64;
            let error = AttachError::OtherLength {
                expected_bytes,
                found_bytes,
            };
            return Err(SegmentError::Attach(error));
        }
        Ok(Self {
            map,
            layout,
            incarnation: header.incarnation,
            control_cells: Mutex::new(Claimer::new(CONTROL)),
            writer: Mutex::new(()),
        })
    }

    fn write_keys<T>(&self, deed: impl FnOnce(KeyTable<'_>) -> T) -> T {
        // The table is whole after any panic: see the table of deaths in `keys::table`.
        let _turn = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        deed(self.keys())
    }

    fn keys(&self) -> KeyTable<'_> {
        let counts = &self.words()[word::KEY_COUNTS..word::KEY_COUNTS + COUNT_WORDS];
        KeyTable::new(
            &self.words()[self.layout.keys()],
            counts,
            self.layout.sizes().keys_max,
        )
    }

    fn in_flight(&self, engine: usize) -> &[AtomicU64] {
        &self.words()[self.layout.in_flight(engine)]
    }

    fn counters(&self, worker: usize) -> &[AtomicU64] {
        &self.words()[self.layout.counters(worker)]
    }

    fn worker_word(&self, worker: usize, word: WorkerWord) -> &AtomicU64 {
        self.word(self.layout.worker(worker, word))
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.words()[index]
    }

    fn words(&self) -> &[AtomicU64] {
        #[expect(clippy::cast_ptr_alignment, reason = "a mapping begins on a page")]
        let words = self.map.as_mut_ptr().cast::<AtomicU64>();
        // SAFETY: the mapping is readable and writable, lives as long as `self`, is aligned to a
        // page, and `map` made sure that it is as long as the layout says. Any 64 bits are a valid
        // AtomicU64, and no process touches these words but through atomics: the header is written
        // before the file gets its name, and read from the file, not from the mapping. The file is
        // never truncated: a new segment is another file.
        unsafe { std::slice::from_raw_parts(words, self.layout.total_bytes() / 8) }
    }
}
