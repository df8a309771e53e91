//! What an attempt at an engine says about the engine, told to the segment.

use hyper::StatusCode;
use tokenmill_core::counters::EngineOutcome;
use tokenmill_core::routing::health::Cause;

use super::error::EndReason;
use super::journey::Journey;
use crate::clock;

/// What an engine that is going says, with status 500. Source: vLLM's and its kin's sources.
const LEAVING: [&[u8]; 3] = [b"after shutdown", b"EngineDeadError", b"shutting down"];
/// Of an error's body.
const LOOKED_AT_BYTES: usize = 4_096;

/// What an answer with an error status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// The engine takes no requests now.
    Refuses,
    /// It takes no more at this moment, and is well.
    IsBusy,
    /// It answered; whose fault it is, is another matter.
    Answered,
}

/// What an answer means for the choice of an engine.
pub(super) fn told_by(status: StatusCode, body: &[u8]) -> Told {
    let head = &body[..body.len().min(LOOKED_AT_BYTES)];
    let says = |words: &&[u8]| memchr::memmem::find(head, words).is_some();
    match status {
        StatusCode::SERVICE_UNAVAILABLE => Told::Refuses,
        StatusCode::INTERNAL_SERVER_ERROR if LEAVING.iter().any(says) => Told::Refuses,
        StatusCode::TOO_MANY_REQUESTS => Told::IsBusy,
        _ => Told::Answered,
    }
}

/// What an answer with an error status or a good one is counted as.
pub(super) fn outcome_of_answer(status: StatusCode, told: Told) -> EngineOutcome {
    match told {
        Told::Refuses => EngineOutcome::TurnedAway,
        Told::IsBusy => EngineOutcome::Busy,
        Told::Answered if status.is_server_error() => EngineOutcome::ErrorStatus,
        Told::Answered if status.is_success() => EngineOutcome::Complete,
        Told::Answered => EngineOutcome::ClientError,
    }
}

/// What an end is counted as.
pub(super) fn outcome_of(reason: EndReason) -> EngineOutcome {
    match reason {
        EndReason::Complete => EngineOutcome::Complete,
        EndReason::Refused => EngineOutcome::Refused,
        EndReason::ConnectTimeout => EngineOutcome::ConnectTimeout,
        EndReason::FirstByteTimeout => EngineOutcome::FirstByteTimeout,
        EndReason::Stalled => EngineOutcome::Stalled,
        EndReason::Closed => EngineOutcome::Closed,
        EndReason::Aborted => EngineOutcome::Aborted,
        EndReason::ErrorEvent => EngineOutcome::ErrorEvent,
        EndReason::Malformed => EngineOutcome::Malformed,
        EndReason::TooLarge => EngineOutcome::TooLarge,
        EndReason::NoEngine
        | EndReason::Overloaded
        | EndReason::ReaderStalled
        | EndReason::Drained
        | EndReason::Cancelled => EngineOutcome::Cancelled,
    }
}

/// Whether an end is the engine's merit (`true`) or fault; `None`: it says nothing about it.
fn is_good(reason: EndReason) -> Option<bool> {
    match reason {
        EndReason::Complete => Some(true),
        EndReason::FirstByteTimeout
        | EndReason::Stalled
        | EndReason::Closed
        | EndReason::Aborted
        | EndReason::Malformed
        | EndReason::TooLarge => Some(false),
        EndReason::NoEngine
        | EndReason::Refused
        | EndReason::ConnectTimeout
        | EndReason::Overloaded
        | EndReason::ErrorEvent
        | EndReason::ReaderStalled
        | EndReason::Drained
        | EndReason::Cancelled => None,
    }
}

impl Journey {
    /// The engine takes no requests: the next ones go elsewhere.
    pub fn note_refusing(&self, engine: usize) {
        let now_ms = clock::monotonic_ms();
        self.segment.exclude_engine(engine, Cause::Refusing, now_ms);
    }

    /// An attempt came to this end.
    pub fn note_end(&self, engine: usize, reason: EndReason) {
        if matches!(reason, EndReason::Refused | EndReason::ConnectTimeout) {
            self.note_refusing(engine);
        } else if let Some(is_good) = is_good(reason) {
            self.note_outcome(engine, is_good);
        }
    }

    /// An answer came, good or bad.
    pub fn note_outcome(&self, engine: usize, is_good: bool) {
        let now_ms = clock::monotonic_ms();
        let is_failing = self.segment.note_engine_outcome(engine, is_good, now_ms);
        if is_good {
            self.segment.readmit_engine(engine, now_ms);
        } else if is_failing && let Some(pool) = self.fleet.pool(self.pool) {
            pool.exclude(&self.segment, engine, Cause::Failing, now_ms);
        }
    }

    /// A stream began so long after the engine was asked for it, or had not begun by then.
    pub fn note_pace(&self, engine: usize, after_ns: u64) {
        let now_ms = clock::monotonic_ms();
        let pace_us = after_ns / 1_000;
        self.segment.note_engine_pace(engine, pace_us, now_ms);
        if let (true, Some(pool)) = (self.limits.hedge, self.fleet.pool(self.pool)) {
            pool.tail().note(pace_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_leaves_says_so_with_503_or_in_words() {
        let shutdown = br#"{"error":{"message":"cannot schedule new futures after shutdown"}}"#;
        let of = |status: u16, body: &[u8]| told_by(StatusCode::from_u16(status).unwrap(), body);
        assert_eq!(of(500, shutdown), Told::Refuses);
        assert_eq!(of(400, shutdown), Told::Answered);
        assert_eq!(of(503, b""), Told::Refuses);
        assert_eq!(of(500, b"oops"), Told::Answered);
        assert_eq!(of(429, b""), Told::IsBusy);
    }
}
