//! One attempt at one engine: a connection, kept or fresh, and the beginning of an answer.

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use tokenmill_core::counters::Counter;
use tokio::time::timeout;

use super::connection::Link;
use super::error::{EndReason, ForwardError, Retry, Side};
use super::fleet::Engine;
use super::gate::Place;
use super::health::outcome_of;
use super::journey::Journey;
use super::request::AnswerKind;
use super::source::{DEPARTED_LOOK, Piece, Source};
use crate::clock;

/// An engine that has begun to answer.
pub(super) struct Reached {
    pub engine: Arc<Engine>,
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Boxed: each step that owns this would have room for it of its own.
    pub source: Box<Source>,
    /// What was taken of the body already.
    pub first: Option<Piece>,
    /// When it was asked.
    pub asked_ns: u64,
    /// The engine's, until it is dropped.
    pub place: Place,
}

impl Journey {
    /// The beginning of the engine's answer.
    pub async fn reach(
        &self,
        engine: &Arc<Engine>,
        mut place: Place,
    ) -> Result<Reached, ForwardError> {
        place.note_asked();
        match self.reach_once(engine).await {
            Ok((link, answer, asked_ns)) => {
                Ok(self.reached(engine, link, answer, (asked_ns, place)))
            }
            Err(error) => {
                place.note_outcome(outcome_of(error.kind));
                Err(error)
            }
        }
    }

    /// An answer over a kept connection, or over a fresh one where that was gone.
    async fn reach_once(
        &self,
        engine: &Engine,
    ) -> Result<(Link, Response<Incoming>, u64), ForwardError> {
        let mut kept = None;
        while let Some(mut link) = engine.take_idle() {
            if link.is_alive() {
                kept = Some(link);
                break;
            }
        }
        let link = match kept {
            Some(link) => link,
            None => self.connect(engine).await?,
        };
        let asked_ns = clock::monotonic_ns();
        match self.ask(engine, link).await {
            Ok((link, answer)) => Ok((link, answer, asked_ns)),
            Err(error) if error.retry == Retry::OnReusedConnection => {
                // The others were kept as long: they are as dead as this one.
                engine.drop_idle();
                self.count(Counter::RETRIES, 1);
                let link = self.connect(engine).await?;
                let (link, answer) = self.ask(engine, link).await?;
                Ok((link, answer, asked_ns))
            }
            Err(error) => Err(error),
        }
    }

    async fn connect(&self, engine: &Engine) -> Result<Link, ForwardError> {
        let slot = engine.slot();
        match timeout(self.limits.connect, Box::pin(Link::open(engine.address()))).await {
            Ok(Ok(link)) => Ok(link),
            Ok(Err(error)) => {
                let detail = format!("engine {slot} could not be connected to: {error}");
                let failed = ForwardError::upstream(EndReason::Refused, detail);
                Err(failed.retried(Retry::Safe))
            }
            Err(_) => {
                let detail = format!("engine {slot} did not take the connection in time");
                let failed = ForwardError::upstream(EndReason::ConnectTimeout, detail);
                Err(failed.retried(Retry::Safe))
            }
        }
    }

    async fn ask(
        &self,
        engine: &Engine,
        mut link: Link,
    ) -> Result<(Link, Response<Incoming>), ForwardError> {
        let request = self.outbound.to(engine).map_err(|error| ForwardError {
            side: Side::Internal,
            ..ForwardError::upstream(EndReason::Malformed, error)
        })?;
        let slot = engine.slot();
        self.mailbox.note_asked();
        let sent = timeout(self.limits.first_byte, link.send(request));
        let Some(sent) = unless_departed(engine, sent).await else {
            let detail = format!("engine {slot} has left before it began to answer");
            return Err(ForwardError::upstream(EndReason::Closed, detail));
        };
        match sent {
            Ok(Ok(answer)) => Ok((link, answer)),
            Ok(Err(mut failure)) => {
                // What comes back was never written to the socket.
                let was_unsent = failure.take_message().is_some();
                let error = failure.into_error();
                let failed = ForwardError::of_answer(&error);
                let is_stale = link.is_reused()
                    && failed.kind == EndReason::Closed
                    && (was_unsent || self.may_repeat());
                let is_gone = failed.kind == EndReason::Closed && self.may_repeat();
                Err(if is_stale {
                    failed.retried(Retry::OnReusedConnection)
                } else if is_gone {
                    failed.retried(Retry::Elsewhere)
                } else {
                    failed
                })
            }
            Err(_) => {
                let detail = format!("engine {slot} did not begin to answer in time");
                Err(ForwardError::upstream(EndReason::FirstByteTimeout, detail))
            }
        }
    }

    fn reached(
        &self,
        engine: &Arc<Engine>,
        link: Link,
        answer: Response<Incoming>,
        (asked_ns, mut place): (u64, Place),
    ) -> Reached {
        if self.asker.is_some_and(|asker| asker.is_typical) {
            place.note_answer();
        }
        let (parts, body) = answer.into_parts();
        // Only the client of a stream can be given a comment.
        let comment = match self.kind {
            AnswerKind::Stream => self.limits.comment,
            AnswerKind::Whole | AnswerKind::Plain => self.limits.stall,
        };
        let source = Source::new(Arc::clone(engine), link, body, &self.limits, comment);
        Reached {
            engine: Arc::clone(engine),
            status: parts.status,
            headers: parts.headers,
            source: Box::new(source),
            first: None,
            asked_ns,
            place,
        }
    }

    /// Whether a request that a kept connection lost may be sent once more: a generation leaves
    /// nothing behind on an engine, and other requests only where HTTP says so.
    fn may_repeat(&self) -> bool {
        self.kind != AnswerKind::Plain || self.outbound.is_idempotent()
    }
}

/// What `work` gives, or nothing once the engine has been out of the fleet for long: it hangs.
async fn unless_departed<T>(engine: &Engine, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        match timeout(DEPARTED_LOOK, work.as_mut()).await {
            Ok(done) => return Some(done),
            Err(_) if engine.has_departed(clock::monotonic_ms()) => return None,
            Err(_) => {}
        }
    }
}
