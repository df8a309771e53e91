//! One request's way: it gets a place at an engine, asks it, and its answer is relayed.
//!
//! Tried again, on another engine, only while no byte of an answer has come back, and within the
//! budget for that. Runs as a task; dropping it undoes all it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokenmill_core::counters::{Counter, EngineCounter};
use tokenmill_core::routing::{Beginnings, RetryBudget};
use tokenmill_core::sse::StreamShape;
use tokio::time::timeout;

use super::answer::Relaying;
use super::error::{EndReason, ForwardError, Retry};
use super::events::{End, Lack};
use super::fleet::Fleet;
use super::gate::{Asker, Entered, Gate, Place, Waiting, overloaded};
use super::limits::Limits;
use super::mailbox::Mailbox;
use super::pool::{Wish, missing_bytes, preferring};
use super::request::{AnswerKind, Outbound};
use crate::segment::Segment;

/// Engines that are tried for one request.
const ENGINES_TRIED_MAX: usize = 4;
/// The same after one of them went without a byte: what killed it may kill the next.
const ENGINES_LOST_MAX: usize = 2;
/// How often an adapter is loaded for one request: for the first engine, and for one more where
/// that is gone or has lost it.
const LOADS_MAX: usize = 2;

/// One request and all that its task needs.
pub(super) struct Journey {
    pub mailbox: Arc<Mailbox>,
    pub outbound: Outbound,
    pub kind: AnswerKind,
    pub shape: StreamShape,
    pub fleet: Arc<Fleet>,
    pub pool: usize,
    pub wish: Wish,
    pub limits: Limits,
    pub segment: Arc<Segment>,
    pub worker: usize,
    pub started_ns: u64,
    pub gate: Arc<Gate>,
    /// Whose request it is; `None`: nobody's who pays, and it waits for no place.
    pub asker: Option<Asker>,
    /// What is left for retries: the worker's.
    pub retries: Arc<AtomicU32>,
    /// Whether it is for an adapter that can be loaded where nobody holds it.
    pub is_loadable: bool,
}

/// The engines that were asked, and how often an adapter was loaded first.
#[derive(Debug, Default)]
struct Trail {
    /// Slots, since the last load.
    tried: Vec<usize>,
    asked_before: usize,
    loads: usize,
}

impl Trail {
    fn asked(&self) -> usize {
        self.asked_before + self.tried.len()
    }
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

impl Journey {
    /// Goes all the way; the mailbox has its last event afterwards.
    pub async fn run(mut self, turn: Turn) {
        self.earn_retry();
        let mut beginnings = self.beginnings();
        let mut trail = Trail::default();
        // Boxed, as what follows: its state would be part of the task while the answer lasts.
        let first = Box::pin(self.first_place(turn, &beginnings));
        let mut place = self.patiently(first).await;
        loop {
            let begun = match place {
                Ok(place) => {
                    let begun = Box::pin(self.begin(place, &mut trail.tried, &beginnings));
                    self.patiently(begun).await
                }
                Err(error) => Err(error),
            };
            match begun {
                Err(error) => {
                    let tries_max = tries_max(error.retry);
                    let next = Box::pin(self.next_place(&trail.tried, tries_max, &beginnings));
                    place = match next.await {
                        Some(next) => Ok(next),
                        None if is_gone(error.kind) && self.may_load(&mut trail, tries_max) => {
                            let loaded = self.loaded_place(&mut trail, &mut beginnings);
                            Box::pin(loaded).await
                        }
                        None => return self.mailbox.put_end(End::of(error, false)),
                    };
                }
                Ok(reached) => {
                    if reached.status.is_success() {
                        // It is asked no more: a long prompt is not kept while its answer lasts.
                        self.outbound.drop_body();
                    }
                    let Some(turned) = Relaying::new(&self, reached).run().await else {
                        return;
                    };
                    let tried = &trail.tried;
                    let next = Box::pin(self.next_place(tried, ENGINES_TRIED_MAX, &beginnings));
                    place = match next.await {
                        Some(next) => Ok(next),
                        None if turned.is_astray()
                            && self.may_load(&mut trail, ENGINES_TRIED_MAX) =>
                        {
                            drop(turned);
                            let loaded = self.loaded_place(&mut trail, &mut beginnings);
                            Box::pin(loaded).await
                        }
                        None => return turned.accept().await,
                    };
                }
            }
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

    /// What `work` gives; only the client of a stream can be given comments meanwhile.
    async fn patiently<T>(&self, work: impl Future<Output = T>) -> T {
        match self.kind {
            AnswerKind::Stream => self.with_comments(work).await,
            AnswerKind::Whole | AnswerKind::Plain => work.await,
        }
    }

    async fn first_place(
        &self,
        turn: Turn,
        beginnings: &Beginnings,
    ) -> Result<Place, ForwardError> {
        match turn {
            Turn::Open => {
                let place = self.place_beside(&[], beginnings).await?;
                place.ok_or_else(nobody)
            }
            Turn::Placed(place) => Ok(place),
            Turn::Waiting(waiting) => waiting.place().await.map(|mut place| {
                place.give(beginnings.prompt_bytes() as u64);
                place
            }),
        }
    }

    /// Whether the request's adapter may be loaded for it: again, only within the budget for
    /// retries.
    fn may_load(&self, trail: &mut Trail, tries_max: usize) -> bool {
        if !self.is_loadable || trail.loads >= LOADS_MAX || trail.asked() >= tries_max {
            return false;
        }
        if let Some(&failed) = trail.tried.last() {
            if !self.spend_retry() {
                return false;
            }
            self.count_retry(failed);
        }
        trail.loads += 1;
        true
    }

    /// A place at an engine that was made to hold the request's adapter.
    async fn loaded_place(
        &mut self,
        trail: &mut Trail,
        beginnings: &mut Beginnings,
    ) -> Result<Place, ForwardError> {
        let failed = trail
            .tried
            .last()
            .and_then(|slot| i32::try_from(*slot).ok());
        let lack = Lack {
            engine: failed.unwrap_or(-1),
        };
        let course = self.patiently(self.mailbox.course_after(lack)).await;
        self.fleet = course.fleet;
        self.pool = course.pool;
        trail.asked_before += std::mem::take(&mut trail.tried).len();
        *beginnings = self.beginnings();
        let place = self.patiently(self.place_beside(&[], beginnings)).await?;
        place.ok_or_else(nobody)
    }

    /// A place at another engine for a request that may be tried again, within the budget.
    async fn next_place(
        &self,
        tried: &[usize],
        tries_max: usize,
        beginnings: &Beginnings,
    ) -> Option<Place> {
        let pool = self.fleet.pool(self.pool)?;
        if tried.len() >= tries_max.min(pool.engines().len()) || !self.spend_retry() {
            return None;
        }
        let place = self.patiently(self.place_beside(tried, beginnings)).await;
        let place = place.ok().flatten()?;
        if let Some(failed) = tried.last() {
            self.count_retry(*failed);
        }
        Some(place)
    }

    fn count_retry(&self, failed: usize) {
        self.count(Counter::RETRIES, 1);
        self.segment.count_engine(failed, EngineCounter::RETRIES, 1);
    }

    /// Of the prompt, where they matter in the pool of now.
    fn beginnings(&self) -> Beginnings {
        let pool = self.fleet.pool(self.pool);
        pool.map_or_else(Beginnings::default, |pool| {
            pool.beginnings(&self.segment, &self.wish, self.outbound.body())
        })
    }

    /// A place at an engine that was not tried, if there is one: the chosen one, where it has room.
    pub(super) async fn place_beside(
        &self,
        tried: &[usize],
        beginnings: &Beginnings,
    ) -> Result<Option<Place>, ForwardError> {
        let Some(pool) = self.fleet.pool(self.pool) else {
            return Ok(None);
        };
        let choice = pool.choose(&self.segment, &self.wish, beginnings, tried);
        let left = pool.engines().iter();
        let left = preferring(
            choice.map(|(engine, _)| engine),
            left.filter(|engine| !tried.contains(&engine.slot())),
        );
        let Some(asker) = self.asker else {
            return Ok(self.gate.pass(&left));
        };
        let mut place = match self.gate.enter(asker, left) {
            Entered::Placed(place) => place,
            Entered::Waiting(waiting) => waiting.place().await?,
            Entered::Nowhere => return Ok(None),
            Entered::Full { retry_after_ms } => return Err(overloaded(retry_after_ms)),
        };
        place.give(missing_bytes(choice, beginnings, &place));
        Ok(Some(place))
    }

    fn earn_retry(&self) {
        let after = |word| Some(RetryBudget::from_word(word).earned().word());
        let _ = self
            .retries
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
    }

    /// Whether there was something left for a retry.
    pub(super) fn spend_retry(&self) -> bool {
        let after = |word| Some(RetryBudget::from_word(word).spent()?.word());
        self.retries
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, after)
            .is_ok()
    }
}

/// How many engines may be tried once one failed so.
fn tries_max(retry: Retry) -> usize {
    match retry {
        Retry::Never | Retry::OnReusedConnection => 0,
        Retry::Elsewhere => ENGINES_LOST_MAX,
        Retry::Safe => ENGINES_TRIED_MAX,
    }
}

/// Whether it says that the engine is not there any more, and with it what it held.
fn is_gone(reason: EndReason) -> bool {
    matches!(
        reason,
        EndReason::NoEngine | EndReason::Refused | EndReason::ConnectTimeout | EndReason::Closed
    )
}

/// Nothing was asked: any engine may be.
fn nobody() -> ForwardError {
    ForwardError::upstream(EndReason::NoEngine, "the pool is empty").retried(Retry::Safe)
}
