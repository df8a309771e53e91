//! Places at engines and whose turn it is, as all workers of the machine see it.
//!
//! What each worker's waiting accounts were served least is told to the others, so that a place
//! goes to the right worker. A worker that has fallen silent holds nobody up: what it told is not
//! heard after a while.

use std::sync::atomic::{AtomicU64, Ordering};

use tokenmill_core::fairness::on_entry;
use tokenmill_core::segment::WorkerWord;

use super::Segment;

/// How long a worker's word of who waits there is believed.
const TOLD_MS: u64 = 50;

impl Segment {
    /// Takes one of the places of an engine; over all workers, never more than `places` are taken.
    ///
    /// Of those that would be too many together, the one that was added last sees all others and
    /// gives up. Two that come at once may both give up, and come again.
    pub fn take_place(&self, worker: usize, engine: usize, places: u64) -> bool {
        if self.engine_in_flight(engine) >= places {
            return false;
        }
        let own = self.own_in_flight(worker, engine);
        own.fetch_add(1, Ordering::SeqCst);
        let taken = self.engine_under_way(engine, Ordering::SeqCst).requests;
        if taken > places {
            own.fetch_sub(1, Ordering::SeqCst);
        }
        taken <= places
    }

    /// What an account was served, in nanoseconds of a place by its weight. See
    /// [`tokenmill_core::fairness`]. Numbers without room have the count of account 0.
    pub fn served(&self, account_id: u64) -> u64 {
        self.served_word(account_id).load(Ordering::Relaxed)
    }

    /// Adds to it or takes from it.
    pub fn add_served(&self, account_id: u64, change: i64) {
        self.change_served(account_id, |served| served.saturating_add_signed(change));
    }

    /// The account begins to wait for one of these engines.
    pub fn enter_line(&self, account_id: u64, engines: impl Iterator<Item = usize>) {
        let floors = engines.map(|engine| self.floor_word(engine).load(Ordering::Relaxed));
        let floor = floors.max().unwrap_or(0);
        self.change_served(account_id, |served| on_entry(served, floor));
    }

    /// An account that was served so much got a place of the engine while others waited.
    pub fn raise_floor(&self, engine: usize, served: u64) {
        self.floor_word(engine).fetch_max(served, Ordering::Relaxed);
    }

    /// Tells the others the least that anyone was served who waits for the engine in this worker;
    /// `None`: nobody waits.
    pub fn tell_least(&self, worker: usize, engine: usize, served: Option<u64>) {
        let told = served.map_or(0, |served| served.saturating_add(1));
        self.turns(engine)[worker].store(told, Ordering::Relaxed);
    }

    /// Tells the others how many wait in this worker, and that it is alive.
    pub fn tell_waiting(&self, worker: usize, count: usize, now_ms: u64) {
        self.worker_word(worker, WorkerWord::Waiting)
            .store(count as u64, Ordering::Relaxed);
        self.worker_word(worker, WorkerWord::ToldMs)
            .store(now_ms, Ordering::Relaxed);
    }

    /// The least that anyone was served who waits for the engine in another worker, and which.
    pub fn least_elsewhere(
        &self,
        worker: usize,
        engine: usize,
        now_ms: u64,
    ) -> Option<(u64, usize)> {
        let told = self.turns(engine).iter().enumerate();
        told.filter(|(other, _)| *other != worker)
            .filter_map(|(other, word)| {
                let served = word.load(Ordering::Relaxed).checked_sub(1)?;
                let told_ms = self.worker_word(other, WorkerWord::ToldMs);
                let age_ms = now_ms.saturating_sub(told_ms.load(Ordering::Relaxed));
                (age_ms <= TOLD_MS).then_some((served, other))
            })
            .min()
    }

    /// Requests that wait in a worker for a place at an engine.
    pub fn worker_waiting(&self, worker: usize) -> u64 {
        self.worker_word(worker, WorkerWord::Waiting)
            .load(Ordering::Relaxed)
    }

    /// Requests that wait in all workers.
    pub fn waiting(&self) -> u64 {
        let workers = 0..self.layout.sizes().workers_max;
        workers.map(|worker| self.worker_waiting(worker)).sum()
    }

    /// Nobody waits in the worker any more: it is gone.
    pub(super) fn clear_turns(&self, worker: usize) {
        self.tell_waiting(worker, 0, 0);
        for engine in 0..self.layout.sizes().engines_max {
            self.tell_least(worker, engine, None);
        }
    }

    fn change_served(&self, account_id: u64, change: impl Fn(u64) -> u64) {
        let word = self.served_word(account_id);
        let mut seen = word.load(Ordering::Relaxed);
        while let Err(found) =
            word.compare_exchange_weak(seen, change(seen), Ordering::Relaxed, Ordering::Relaxed)
        {
            seen = found;
        }
    }

    fn served_word(&self, account_id: u64) -> &AtomicU64 {
        let served = &self.words()[self.layout.served()];
        let index = usize::try_from(account_id).unwrap_or(0);
        served.get(index).unwrap_or(&served[0])
    }

    fn turns(&self, engine: usize) -> &[AtomicU64] {
        &self.words()[self.layout.turns(engine)]
    }

    fn floor_word(&self, engine: usize) -> &AtomicU64 {
        self.word(self.layout.floor(engine))
    }
}
