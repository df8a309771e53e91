//! One request's way: an engine is chosen, connected to, asked, and its answer relayed.
//!
//! Tried again, on another engine or a fresh connection, only while no byte has come back and the
//! failure proves that nothing was done. Runs as a task; dropping it undoes all it holds.

use std::sync::Arc;

use http::Response;
use hyper::body::Incoming;
use tokenmill_core::counters::Counter;
use tokenmill_core::sse::StreamShape;
use tokio::time::timeout;

use super::answer::Relaying;
use super::connection::Link;
use super::error::{EndReason, ForwardError, Retry, Side};
use super::fleet::{Engine, Fleet};
use super::gate::{Asker, Entered, Gate, Place, Waiting, overloaded};
use super::limits::Limits;
use super::mailbox::{End, Mailbox};
use super::request::{AnswerKind, Outbound};
use super::source::DEPARTED_LOOK;
use crate::clock;
use crate::segment::Segment;

/// Engines that are tried for one request.
const ENGINES_TRIED_MAX: usize = 4;

/// One request and all that its task needs.
pub(super) struct Journey {
    pub mailbox: Arc<Mailbox>,
    pub outbound: Outbound,
    pub kind: AnswerKind,
    pub shape: StreamShape,
    pub fleet: Arc<Fleet>,
    pub pool: usize,
    pub limits: Limits,
    pub segment: Arc<Segment>,
    pub worker: usize,
    pub started_ns: u64,
    pub gate: Arc<Gate>,
    /// Whose request it is; `None`: nobody's who pays, and it waits for no place.
    pub asker: Option<Asker>,
}

/// Where a request stands when it sets out.
pub(super) enum Turn {
    /// The engines have no number of places.
    Open,
    /// It has a place.
    Placed(Place),
    /// It waits for one.
    Waiting(Waiting),
}

/// An engine that has begun to answer.
pub(super) struct Reached {
    pub engine: Arc<Engine>,
    pub link: Link,
    pub answer: Response<Incoming>,
    /// The engine's, until it is dropped.
    pub place: Place,
}

impl Journey {
    /// Goes all the way; the mailbox has its last event afterwards.
    pub async fn run(mut self, turn: Turn) {
        // Boxed: its state would be part of the task for as long as the answer takes.
        let reach = Box::pin(self.reach(turn));
        let reached = match self.kind {
            AnswerKind::Stream => self.with_comments(reach).await,
            AnswerKind::Whole | AnswerKind::Plain => reach.await,
        };
        // It is asked no more: a long prompt is not kept for as long as its answer takes.
        self.outbound.drop_body();
        match reached {
            Ok(reached) => Relaying::new(&self, reached).run().await,
            Err(error) => self.mailbox.put_end(End::of(error, false)),
        }
    }

    /// Puts in a comment whenever the client has waited for long; gives what `work` gives.
    pub async fn with_comments<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            match timeout(self.limits.comment, work.as_mut()).await {
                Ok(done) => return done,
                Err(_) => self.mailbox.put_comment(),
            }
        }
    }

    /// Adds to a counter of this worker.
    pub fn count(&self, counter: Counter, amount: u64) {
        self.segment.count(self.worker, counter, amount);
    }

    async fn reach(&self, turn: Turn) -> Result<Reached, ForwardError> {
        let mut tried = Vec::new();
        let mut last = ForwardError::upstream(EndReason::NoEngine, "the pool is empty");
        let mut next = match turn {
            Turn::Open => self.place_beside(&tried).await?,
            Turn::Placed(place) => Some(place),
            Turn::Waiting(waiting) => Some(waiting.place().await?),
        };
        while let Some(place) = next {
            if !tried.is_empty() {
                self.count(Counter::RETRIES, 1);
            }
            let engine = Arc::clone(place.engine());
            self.mailbox.set_engine(engine.slot());
            match self.try_engine(&engine, place).await {
                Ok(reached) => return Ok(reached),
                Err(error) if error.retry == Retry::Safe => last = error,
                Err(error) => return Err(error),
            }
            engine.suspect(clock::monotonic_ms());
            tried.push(engine.slot());
            if tried.len() == ENGINES_TRIED_MAX {
                break;
            }
            next = self.place_beside(&tried).await?;
        }
        Err(last)
    }

    /// A place at an engine that was not tried, if there is one.
    async fn place_beside(&self, tried: &[usize]) -> Result<Option<Place>, ForwardError> {
        let pool = self.fleet.pool(self.pool).iter();
        let left: Vec<_> = pool
            .filter(|engine| !tried.contains(&engine.slot()))
            .cloned()
            .collect();
        let Some(asker) = self.asker else {
            return Ok(self.gate.pass(&left, self.mailbox.id()));
        };
        match self.gate.enter(asker, left) {
            Entered::Placed(place) => Ok(Some(place)),
            Entered::Waiting(waiting) => waiting.place().await.map(Some),
            Entered::Nowhere => Ok(None),
            Entered::Full { retry_after_ms } => Err(overloaded(retry_after_ms)),
        }
    }

    async fn try_engine(
        &self,
        engine: &Arc<Engine>,
        place: Place,
    ) -> Result<Reached, ForwardError> {
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
        match self.ask(engine, link).await {
            Ok((link, answer)) => Ok(reached(engine, link, answer, place)),
            Err(error) if error.retry == Retry::OnReusedConnection => {
                // The others were kept as long: they are as dead as this one.
                engine.drop_idle();
                self.count(Counter::RETRIES, 1);
                let link = self.connect(engine).await?;
                let (link, answer) = self.ask(engine, link).await?;
                Ok(reached(engine, link, answer, place))
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
                Err(if is_stale {
                    failed.retried(Retry::OnReusedConnection)
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

fn reached(
    engine: &Arc<Engine>,
    link: Link,
    answer: Response<Incoming>,
    mut place: Place,
) -> Reached {
    engine.trust();
    place.note_answer();
    Reached {
        engine: Arc::clone(engine),
        link,
        answer,
        place,
    }
}
