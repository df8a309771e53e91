//! Workers and control as the supervisor sees them: where they stand, signs of life, and when a
//! worker that leaves has to be gone.

use std::sync::atomic::Ordering;

use tokenmill_core::segment::{WorkerWord, word};

use super::Segment;
use crate::clock;

/// Where a worker stands; the supervisor and the worker itself set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// Nobody has the slot.
    Free,
    /// The process was started and does not serve yet.
    Starting,
    /// It takes requests.
    Serving,
    /// It finishes its streams and takes no new ones.
    Draining,
}

impl Segment {
    /// Where the worker stands. Panics, as all methods with a slot do, if there is no such slot.
    pub fn worker_state(&self, worker: usize) -> WorkerState {
        match self
            .worker_word(worker, WorkerWord::State)
            .load(Ordering::Acquire)
        {
            1 => WorkerState::Starting,
            2 => WorkerState::Serving,
            3 => WorkerState::Draining,
            _ => WorkerState::Free,
        }
    }

    /// Sets it; `Starting` and `Free` first clear what the slot's last worker left: its heartbeat,
    /// its drain deadline, its requests in flight and who waited there. Counters stay.
    pub fn set_worker_state(&self, worker: usize, state: WorkerState) {
        if matches!(state, WorkerState::Free | WorkerState::Starting) {
            self.worker_word(worker, WorkerWord::HeartbeatMs)
                .store(0, Ordering::Relaxed);
            self.worker_word(worker, WorkerWord::DrainDeadlineMs)
                .store(0, Ordering::Relaxed);
            for engine in 0..self.layout.sizes().engines_max {
                self.in_flight(engine)[worker].store(0, Ordering::Relaxed);
            }
            self.clear_turns(worker);
        }
        self.worker_word(worker, WorkerWord::State)
            .store(state as u64, Ordering::Release);
    }

    /// Notes that the worker's event loop is alive now.
    pub fn beat(&self, worker: usize) {
        let now_ms = clock::monotonic_ms();
        self.worker_word(worker, WorkerWord::HeartbeatMs)
            .store(now_ms, Ordering::Relaxed);
    }

    /// When it last was, monotonic milliseconds; 0: never.
    pub fn heartbeat_ms(&self, worker: usize) -> u64 {
        self.worker_word(worker, WorkerWord::HeartbeatMs)
            .load(Ordering::Relaxed)
    }

    /// Notes that control's event loop is alive now.
    pub fn beat_control(&self) {
        self.word(word::CONTROL_HEARTBEAT_MS)
            .store(clock::monotonic_ms(), Ordering::Relaxed);
    }

    /// When control's event loop last was, monotonic milliseconds; 0: never. An earlier control's
    /// last word stays until the next one's first.
    pub fn control_heartbeat_ms(&self) -> u64 {
        self.word(word::CONTROL_HEARTBEAT_MS)
            .load(Ordering::Relaxed)
    }

    /// Tells the worker to end its streams at `deadline_ms` and take no new ones; 0 takes it back.
    pub fn set_drain(&self, worker: usize, deadline_ms: u64) {
        self.worker_word(worker, WorkerWord::DrainDeadlineMs)
            .store(deadline_ms, Ordering::Release);
    }

    /// When the worker's streams end, monotonic milliseconds; 0: it is not draining.
    pub fn drain_deadline_ms(&self, worker: usize) -> u64 {
        self.worker_word(worker, WorkerWord::DrainDeadlineMs)
            .load(Ordering::Acquire)
    }
}
