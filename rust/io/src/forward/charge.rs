//! What one request holds in the wallet, from its admission to its end.
//!
//! Owned by the request's mailbox, which all its ends go through: it is settled there, once, before
//! anyone can see the end. Dropping it settles it too.

use std::sync::Arc;

use tokenmill_core::usage::Usage;
use tokenmill_core::wallet::{Ending, Hold, Refusal, Request};

use super::error::EndReason;
use crate::clock;
use crate::segment::Segment;

/// Who pays for a request, and what is known before it runs.
#[derive(Debug, Clone, Copy)]
pub struct Admission {
    /// For the cell.
    pub request: Request,
    /// Tokens of the prompt at least, for a call that is abandoned before its only answer.
    pub prompt_tokens_min: u32,
    /// Off: what limits and balance would refuse is only told.
    pub enforce: bool,
}

/// A request's cell, held.
pub(super) struct Charge {
    segment: Arc<Segment>,
    hold: Option<Hold>,
    cost_nanos: i64,
    began_ns: u64,
    prompt_tokens_min: Option<u32>,
    first_byte_ns: u64,
    /// What would have refused it, where nothing is enforced.
    pub overlooked: Option<Refusal>,
}

impl std::fmt::Debug for Charge {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Charge")
            .field("hold", &self.hold)
            .finish_non_exhaustive()
    }
}

impl Charge {
    pub fn new(
        segment: Arc<Segment>,
        hold: Hold,
        admission: &Admission,
        overlooked: Option<Refusal>,
    ) -> Self {
        let is_whole = !admission.request.is_streamed;
        Self {
            segment,
            hold: Some(hold),
            cost_nanos: 0,
            began_ns: admission.request.began_ns,
            prompt_tokens_min: is_whole.then_some(admission.prompt_tokens_min),
            first_byte_ns: 0,
            overlooked,
        }
    }

    /// What was billed; 0 before the end.
    pub fn cost_nanos(&self) -> i64 {
        self.cost_nanos
    }

    /// The last usage received, and when the answer had begun.
    pub fn note(&mut self, usage: Usage, first_byte_ns: u64) {
        if self.first_byte_ns == 0 {
            self.first_byte_ns = first_byte_ns;
        }
        if let (true, Some(hold)) = (usage.seen, self.hold) {
            self.segment.meter(hold, usage.into());
        }
    }

    /// The end that an answer came to; `status` where it has one of its own.
    pub fn end(&mut self, reason: EndReason, status: Option<u16>, engine: i32) {
        self.settle(status.unwrap_or_else(|| status_of(reason)), engine, None);
    }

    /// The client went. A call for one whole answer has then used at least its prompt, if an engine
    /// had been asked.
    pub fn abandon(&mut self, engine: i32) {
        let prompt = self.prompt_tokens_min.filter(|_| engine >= 0);
        self.settle(STATUS_CLIENT_GONE, engine, prompt);
    }

    fn settle(&mut self, status: u16, engine: i32, prompt_estimate: Option<u32>) {
        let Some(hold) = self.hold.take() else {
            return;
        };
        let now_ns = clock::monotonic_ns();
        let first_byte_ms = (self.first_byte_ns > 0).then(|| milliseconds(self.first_byte_ns));
        let began_wall_ms = clock::wall_ms();
        let ending = Ending {
            status,
            engine: u16::try_from(engine).unwrap_or(u16::MAX),
            first_byte_ms,
            wall_ms: began_wall_ms,
            now_ns: now_ns.max(self.began_ns),
            prompt_estimate,
        };
        self.cost_nanos = self.segment.settle(hold, &ending);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.settle(status_of(EndReason::Cancelled), -1, None);
    }
}

const STATUS_CLIENT_GONE: u16 = 499;

fn milliseconds(ns: u64) -> u32 {
    u32::try_from(ns / 1_000_000).unwrap_or(u32::MAX - 1)
}

/// The HTTP status that stands for an end.
fn status_of(reason: EndReason) -> u16 {
    match reason {
        EndReason::Complete => 200,
        EndReason::NoEngine
        | EndReason::Refused
        | EndReason::Drained
        | EndReason::Cancelled
        | EndReason::Overloaded => 503,
        EndReason::ConnectTimeout | EndReason::FirstByteTimeout | EndReason::Stalled => 504,
        EndReason::ReaderStalled => 408,
        EndReason::Closed
        | EndReason::Aborted
        | EndReason::ErrorEvent
        | EndReason::Malformed
        | EndReason::TooLarge => 502,
    }
}
