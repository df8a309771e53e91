//! An engine's answer on its way into the mailbox, by kind: a stream is passed on while it comes, a
//! whole answer is collected. What both do stands here: reading, counting, and freeing the engine.

mod stream;
mod whole;

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use tokenmill_core::counters::{Counter, EngineOutcome};
use tokenmill_core::sse::AnswerStream;

use self::stream::Through;
pub(super) use self::whole::TurnedAway;
use super::error::{EndReason, ForwardError};
use super::events::{End, Head};
use super::fleet::Engine;
use super::gate::Place;
use super::health::outcome_of;
use super::journey::Journey;
use super::reaching::Reached;
use super::request::{AnswerKind, end_to_end};
use super::source::{Piece, Source};
use crate::clock;

/// An answer being relayed.
pub(super) struct Relaying<'a> {
    journey: &'a Journey,
    engine: Arc<Engine>,
    source: Box<Source>,
    /// What was taken of it already.
    first: Option<Piece>,
    /// Until the end is put in: whoever sees the end sees the engine free.
    place: Option<Place>,
    status: StatusCode,
    headers: HeaderMap,
    asked_ns: u64,
    /// 0 until it has come: an engine may send its head long before.
    first_byte_ns: u64,
}

impl<'a> Relaying<'a> {
    pub fn new(journey: &'a Journey, reached: Reached) -> Self {
        Self {
            journey,
            engine: reached.engine,
            source: reached.source,
            first: reached.first,
            place: Some(reached.place),
            status: reached.status,
            headers: reached.headers,
            asked_ns: reached.asked_ns,
            first_byte_ns: 0,
        }
    }

    /// Relays to the end, or gives back an answer that another engine might better.
    pub async fn run(mut self) -> Option<TurnedAway<'a>> {
        let is_stream = self.status.is_success() && is_event_stream(&self.headers);
        match self.journey.kind {
            AnswerKind::Plain => {
                self.note_first_byte();
                self.journey.mailbox.put_head(self.head());
                self.relay(Through::Plain).await;
                None
            }
            AnswerKind::Stream if is_stream => {
                let limits = &self.journey.limits;
                let stream = AnswerStream::new(&self.journey.shape, limits.event_bytes_max);
                self.relay(Through::Stream(Box::new(stream))).await;
                None
            }
            AnswerKind::Stream | AnswerKind::Whole => self.collect().await,
        }
    }

    async fn next_piece(&mut self) -> Piece {
        match self.first.take() {
            Some(first) => first,
            None => self.source.next().await,
        }
    }

    /// The engine is free, and how it fared is told: before anyone can see the end.
    fn over(&mut self, reason: EndReason) {
        self.free(outcome_of(reason));
        self.journey.note_end(self.engine.slot(), reason);
    }

    /// Gives the place back, if it was not yet.
    fn free(&mut self, outcome: EngineOutcome) {
        if let Some(mut place) = self.place.take() {
            place.note_outcome(outcome);
        }
    }

    /// Gives the connection back to the engine's kept ones once the body is over.
    async fn keep_link(self) {
        if let Some(link) = self.source.into_reusable().await {
            let limits = &self.journey.limits;
            let now_ms = clock::monotonic_ms();
            self.engine.keep(link, now_ms, limits.idle_connections_max);
        }
    }

    fn note_data(&mut self, data: &[u8]) {
        self.note_first_byte();
        let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.journey.count(Counter::UPSTREAM_BYTES, bytes);
    }

    fn note_first_byte(&mut self) {
        if self.first_byte_ns == 0 {
            let now_ns = clock::monotonic_ns();
            self.first_byte_ns = now_ns.saturating_sub(self.journey.started_ns).max(1);
            if let Some(place) = &mut self.place {
                place.note_read();
            }
            if self.journey.kind == AnswerKind::Stream && self.status.is_success() {
                let after_ns = now_ns.saturating_sub(self.asked_ns);
                self.journey.note_pace(self.engine.slot(), after_ns);
            }
        }
    }

    fn head(&self) -> Head {
        Head {
            headers: end_to_end(&self.headers),
            ..self.head_fields()
        }
    }

    fn head_fields(&self) -> Head {
        Head {
            status: self.status.as_u16(),
            headers: Vec::new(),
            first_byte_ns: self.first_byte_ns,
        }
    }

    fn departed(&self) -> End {
        let detail = format!("engine {} has left in mid-answer", self.engine.slot());
        End::of(ForwardError::upstream(EndReason::Closed, detail), false)
    }

    fn stalled(&self, had_byte: bool) -> End {
        let slot = self.engine.slot();
        let (kind, detail) = if had_byte {
            let detail = format!("engine {slot} stopped in mid-answer");
            (EndReason::Stalled, detail)
        } else {
            let detail = format!("engine {slot} sent a head and then nothing");
            (EndReason::FirstByteTimeout, detail)
        };
        End::of(ForwardError::upstream(kind, detail), false)
    }
}

pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let media_type = value.as_bytes().split(|byte| *byte == b';').next();
        media_type.is_some_and(|one| one.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
    })
}
