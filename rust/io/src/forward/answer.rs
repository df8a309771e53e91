//! An engine's answer on its way into the mailbox, by kind.
//!
//! Everything that is ready is read and put in at once. Which bytes come out of a stream is decided
//! in `tokenmill_core::sse`; here is only when to wait, when to stop, and what the end is called.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use tokenmill_core::calls::rewrite_whole;
use tokenmill_core::counters::{Counter, EngineOutcome};
use tokenmill_core::sse::{AnswerStream, StreamEnd, Verdict};
use tokenmill_core::usage::{Usage, quote, read_whole};
use tokio::time::timeout;

use super::ending::{end_after_comment, end_of, end_of_whole, failed};
use super::error::{EndReason, ForwardError};
use super::fleet::Engine;
use super::gate::Place;
use super::health::{Told, outcome_of, outcome_of_answer, told_by};
use super::journey::Journey;
use super::mailbox::{End, Head, Put, Whole};
use super::reaching::Reached;
use super::request::{AnswerKind, end_to_end};
use super::source::{Piece, Source};
use crate::clock;

/// Frames put in at once; a longer burst is cut, so that the client gets its beginning earlier.
const PUT_BYTES: usize = 32 * 1024;

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

/// An answer that says that the engine takes no requests now: another one may be asked instead.
pub(super) struct TurnedAway<'a> {
    relaying: Relaying<'a>,
    body: Vec<u8>,
}

impl TurnedAway<'_> {
    /// Nobody else can be asked: it is the answer.
    pub async fn accept(mut self) {
        self.relaying.put_whole(self.body);
        self.relaying.keep_link().await;
    }
}

/// What the bytes go through.
enum Through {
    Stream(Box<AnswerStream>),
    Plain,
}

impl Through {
    fn feed(&mut self, data: &[u8], out: &mut Vec<u8>) -> Option<StreamEnd> {
        match self {
            Self::Stream(stream) => match stream.feed(data, out) {
                Verdict::More => None,
                Verdict::End(end) => Some(end),
            },
            Self::Plain => {
                out.extend_from_slice(data);
                None
            }
        }
    }

    fn finish(&mut self) -> StreamEnd {
        match self {
            Self::Stream(stream) => stream.finish(),
            Self::Plain => StreamEnd::Complete,
        }
    }

    fn usage(&self) -> (Usage, bool) {
        match self {
            Self::Stream(stream) => (stream.usage(), stream.sent_tokens()),
            Self::Plain => (Usage::default(), false),
        }
    }
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

    /// Passes bytes on while they come.
    async fn relay(mut self, mut through: Through) {
        let mut frames = Vec::new();
        loop {
            let first = self.next_piece().await;
            let end = self.take_ready(first, &mut through, &mut frames).await;
            let is_over = end.is_some();
            let is_clean = end
                .as_ref()
                .is_some_and(|end| end.reason == EndReason::Complete);
            self.put(&through, &mut frames, end);
            if is_clean {
                return self.keep_link().await;
            }
            if is_over || !self.has_room(&through).await {
                return;
            }
        }
    }

    async fn next_piece(&mut self) -> Piece {
        match self.first.take() {
            Some(first) => first,
            None => self.source.next().await,
        }
    }

    /// Takes the first piece and all that are ready behind it; the end, if one is among them.
    async fn take_ready(
        &mut self,
        first: Piece,
        through: &mut Through,
        frames: &mut Vec<u8>,
    ) -> Option<End> {
        let mut next = Some(first);
        while let Some(piece) = next {
            let end = match piece {
                Piece::Data(data) => {
                    self.note_data(&data);
                    through.feed(&data, frames)
                }
                Piece::End => Some(through.finish()),
                Piece::Quiet => {
                    if frames.is_empty() {
                        self.journey.mailbox.put_comment();
                    }
                    return None;
                }
                Piece::Failed(error) => return Some(failed(&error)),
                Piece::Stalled { had_byte } => return Some(self.stalled(had_byte)),
                Piece::Departed => return Some(self.departed()),
            };
            if let Some(end) = end {
                return Some(end_of(end));
            }
            if frames.len() >= PUT_BYTES {
                return None;
            }
            next = self.source.next_ready().await;
        }
        None
    }

    fn put(&mut self, through: &Through, frames: &mut Vec<u8>, end: Option<End>) {
        if !frames.is_empty() {
            self.source.note_relayed();
        }
        if let Some(end) = &end {
            self.over(end.reason);
        }
        let (usage, sent_tokens) = through.usage();
        self.journey.mailbox.put(Put {
            head: self.head_fields(),
            frames,
            usage,
            sent_tokens,
            end,
        });
    }

    /// Waits until our client has read; `false` when it did not, and the relay has ended so.
    async fn has_room(&mut self, through: &Through) -> bool {
        let mailbox = &self.journey.mailbox;
        let limits = &self.journey.limits;
        if !mailbox.is_full(limits.buffer_bytes_max) {
            return true;
        }
        let room = mailbox.room(limits.buffer_bytes_max);
        if timeout(limits.reader_stall, room).await.is_err() {
            self.over(EndReason::ReaderStalled);
            let detail = "the client did not read what was sent";
            let error = ForwardError::downstream(EndReason::ReaderStalled, detail);
            mailbox.put_end(End::of(error, through.usage().1));
            return false;
        }
        self.source.note_pause();
        true
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

    /// Collects a whole body, under its bound.
    async fn collect(mut self) -> Option<TurnedAway<'a>> {
        let made_tokens = self.status.is_success();
        match self.read_body().await {
            Ok(body) => {
                let slot = self.engine.slot();
                let told = told_by(self.status, &body);
                match told {
                    Told::Refuses => self.journey.note_refusing(slot),
                    Told::IsBusy => {}
                    Told::Answered => {
                        let is_good = !self.status.is_server_error();
                        self.journey.note_outcome(slot, is_good);
                        self.put_whole(body);
                        self.keep_link().await;
                        return None;
                    }
                }
                self.free(outcome_of_answer(self.status, told));
                Some(TurnedAway {
                    relaying: self,
                    body,
                })
            }
            Err(end) => {
                self.over(end.reason);
                self.journey.mailbox.put_end(End {
                    sent_tokens: made_tokens,
                    ..end
                });
                None
            }
        }
    }

    async fn read_body(&mut self) -> Result<Vec<u8>, End> {
        let bytes_max = self.journey.limits.answer_bytes_max;
        let too_large = || {
            let detail = format!("the answer is over {bytes_max} bytes");
            End::of(ForwardError::upstream(EndReason::TooLarge, detail), false)
        };
        let bytes_min = usize::try_from(self.source.bytes_min()).unwrap_or(usize::MAX);
        if bytes_min > bytes_max {
            return Err(too_large());
        }
        let mut body = Vec::with_capacity(bytes_min);
        loop {
            match self.next_piece().await {
                Piece::Data(data) => {
                    self.note_data(&data);
                    body.extend_from_slice(&data);
                }
                Piece::End => {
                    self.note_first_byte();
                    return Ok(body);
                }
                Piece::Quiet => {
                    if self.journey.kind == AnswerKind::Stream {
                        self.journey.mailbox.put_comment();
                    }
                }
                Piece::Failed(error) => return Err(failed(&error)),
                Piece::Stalled { had_byte } => return Err(self.stalled(had_byte)),
                Piece::Departed => return Err(self.departed()),
            }
            if body.len() > bytes_max {
                return Err(too_large());
            }
        }
    }

    fn put_whole(&mut self, body: Vec<u8>) {
        let answered = outcome_of_answer(self.status, Told::Answered);
        let mailbox = Arc::clone(&self.journey.mailbox);
        if mailbox.had_head() {
            self.free(answered);
            mailbox.put_end(end_after_comment(self.status, &body));
            return;
        }
        match self.whole(body) {
            Ok(whole) => {
                self.free(answered);
                mailbox.put_whole(whole);
            }
            Err(end) => {
                self.free(outcome_of(end.reason));
                mailbox.put_end(end);
            }
        }
    }

    /// The whole answer as our client gets it, or what is wrong with it.
    fn whole(&self, body: Vec<u8>) -> Result<Whole, End> {
        let mailbox = &self.journey.mailbox;
        let mut whole = Whole {
            status: self.status.as_u16(),
            body,
            first_byte_ns: self.first_byte_ns,
        };
        if self.status.is_success() {
            let model = self.journey.shape.model.as_deref().map(quote);
            match read_whole(&whole.body, model.as_deref()) {
                Ok(read) => {
                    mailbox.set_usage(read.usage);
                    if let Some(end) = end_of_whole(&read, &whole.body) {
                        return Err(end);
                    }
                    whole.body = read.rewritten.unwrap_or(whole.body);
                    if let Some(calls) = &self.journey.shape.calls
                        && let Ok(Some(body)) = rewrite_whole(&whole.body, calls)
                    {
                        whole.body = body;
                    }
                }
                Err(error) => {
                    let detail = format!("the answer is not a JSON object: {error:?}");
                    let error = ForwardError::upstream(EndReason::Malformed, detail);
                    return Err(End::of(error, true));
                }
            }
        }
        Ok(whole)
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
