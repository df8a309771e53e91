//! What the gate gives: a place at an engine, or a place in its line.

use std::sync::Arc;

use tokenmill_core::counters::{EngineCounter, EngineOutcome, Histogram};
use tokenmill_core::routing::UnderWay;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Asker, Gate, UNKNOWN_RETRY_MS};
use crate::clock;
use crate::forward::error::{EndReason, ForwardError};
use crate::forward::fleet::Engine;

/// What a place was counted at.
pub(super) struct Counted {
    pub(super) account_id: u64,
    pub(super) weight: u16,
    pub(super) estimate: u64,
}

/// A place at an engine: one request in flight, until it is dropped.
pub(in crate::forward) struct Place {
    pub(super) gate: Arc<Gate>,
    pub(super) engine: Arc<Engine>,
    pub(super) since_ns: u64,
    pub(super) counted: Option<Counted>,
    pub(super) has_answered: bool,
    /// How the request ended at the engine; `None`: it was not asked.
    pub(super) outcome: Option<EngineOutcome>,
    /// Of its prompt, counted as still to be computed; in blocks of [`UnderWay`].
    pub(super) unread: u32,
}

impl Place {
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The engine is asked. Unless an end is told, it is that nobody wanted its answer any more.
    pub fn note_asked(&mut self) {
        self.outcome = Some(EngineOutcome::Cancelled);
        self.count(EngineCounter::REQUESTS);
    }

    /// How it ended at the engine, once it was asked.
    pub fn note_outcome(&mut self, outcome: EngineOutcome) {
        self.outcome = self.outcome.and(Some(outcome));
    }

    fn count(&self, counter: EngineCounter) {
        let slot = self.engine.slot();
        self.gate.segment.count_engine(slot, counter, 1);
    }

    /// Its prompt is the engine's to compute, of which so much is missing there; until it is read,
    /// others that come wait for it.
    pub fn give(&mut self, missing_bytes: u64) {
        let (slot, now_ms) = (self.engine.slot(), clock::monotonic_ms());
        let segment = &self.gate.segment;
        self.unread = UnderWay::blocks(missing_bytes);
        let change = UnderWay::change(0, i64::from(self.unread));
        segment.engine_under_way_add(self.gate.worker, slot, change);
        segment.note_engine_given(slot, missing_bytes, now_ms);
    }

    /// The first token came: the prompt is computed.
    pub fn note_read(&mut self) {
        let unread = std::mem::take(&mut self.unread);
        if unread > 0 {
            let change = UnderWay::change(0, -i64::from(unread));
            let (slot, worker) = (self.engine.slot(), self.gate.worker);
            self.gate.segment.engine_under_way_add(worker, slot, change);
        }
    }

    /// The engine has begun to answer: how long the place is held tells how long others wait.
    pub fn note_answer(&mut self) {
        self.has_answered = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            self.count(EngineCounter::outcomes(outcome));
        }
        Arc::clone(&self.gate).give_back(self);
    }
}

/// A request that waits for a place. Dropping it leaves the line.
pub(in crate::forward) struct Waiting {
    pub(super) gate: Arc<Gate>,
    pub(super) asker: Asker,
    pub(super) id: u64,
    pub(super) since_ns: u64,
    pub(super) receiver: oneshot::Receiver<Place>,
}

impl Waiting {
    /// The place.
    ///
    /// # Errors
    /// [`EndReason::Overloaded`]: its turn did not come in time; [`EndReason::Drained`].
    pub async fn place(mut self) -> Result<Place, ForwardError> {
        let waited = timeout(self.gate.wait, &mut self.receiver).await;
        let waited_ms = clock::monotonic_ns().saturating_sub(self.since_ns) / 1_000_000;
        self.gate
            .segment
            .observe(self.gate.worker, Histogram::WaitMs, waited_ms);
        match waited {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => {
                let detail = "the gateway stopped while the request waited";
                Err(ForwardError::downstream(EndReason::Drained, detail))
            }
            Err(_) => {
                self.gate.note_late(self.asker.account_id);
                Err(overloaded(UNKNOWN_RETRY_MS))
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.gate.leave(self.asker.account_id, self.id);
    }
}

/// No place in time.
pub(in crate::forward) fn overloaded(retry_after_ms: u64) -> ForwardError {
    ForwardError {
        retry_after_ms,
        ..ForwardError::downstream(EndReason::Overloaded, "no engine had a place in time")
    }
}
