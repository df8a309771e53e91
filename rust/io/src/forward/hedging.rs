//! The beginning of an answer, of one engine or, where the house hedges, of the sooner of two.
//!
//! A stream that begins later than nineteen of twenty of its pool did is asked of a second engine
//! as well, out of the budget for retries. The first one whose body begins is relayed; the other's
//! connection is closed at once, its place given back. Nothing of the loser was relayed or metered,
//! so there is one reservation and one bill.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokenmill_core::counters::Counter;
use tokenmill_core::routing::Beginnings;
use tokio::time::timeout;

use super::answer::is_event_stream;
use super::error::ForwardError;
use super::gate::Place;
use super::journey::Journey;
use super::reaching::Reached;
use super::request::AnswerKind;
use super::source::Piece;
use crate::clock;

/// An engine that begins within this is never too late, whatever the others do.
const HEDGE_AFTER_MIN: Duration = Duration::from_millis(10);

type Begun = Result<Reached, ForwardError>;

impl Journey {
    /// An engine that has begun to answer: the one of the place or, if that is late, another one.
    /// Those that were asked are added to `tried`.
    pub async fn begin(
        &self,
        place: Place,
        tried: &mut Vec<usize>,
        beginnings: &Beginnings,
    ) -> Begun {
        let first_slot = place.engine().slot();
        tried.push(first_slot);
        self.mailbox.set_engine(first_slot);
        let Some(late) = self.late_after() else {
            return self.begin_at(place).await;
        };
        let began_ns = clock::monotonic_ns();
        let mut first = pin!(self.begin_at(place));
        if let Ok(begun) = timeout(late, first.as_mut()).await {
            return begun;
        }
        let Some(place) = self.hedge_place(tried, beginnings).await else {
            return first.await;
        };
        let second_slot = place.engine().slot();
        tried.push(second_slot);
        self.count(Counter::HEDGES, 1);
        let second = pin!(self.begin_at(place));
        let sooner = sooner(first, second).await;
        if let Ok(reached) = &sooner {
            let slot = reached.engine.slot();
            self.mailbox.set_engine(slot);
            if slot == second_slot {
                // It had not begun by now: that is how slow it is at least.
                let after_ns = clock::monotonic_ns().saturating_sub(began_ns);
                self.note_pace(first_slot, after_ns);
            }
        }
        sooner
    }

    /// How long an engine has before another one is asked as well; `None`: for ever.
    fn late_after(&self) -> Option<Duration> {
        if !self.limits.hedge || self.kind != AnswerKind::Stream {
            return None;
        }
        let pool = self.fleet.pool(self.pool)?;
        let late_us = pool.tail().p95_us()?;
        (pool.engines().len() > 1).then(|| Duration::from_micros(late_us).max(HEDGE_AFTER_MIN))
    }

    /// A place at an engine that was not asked, if one is free now and the budget has a retry left.
    async fn hedge_place(&self, tried: &[usize], beginnings: &Beginnings) -> Option<Place> {
        let place = self.place_beside(tried, beginnings);
        let place = timeout(Duration::ZERO, place).await.ok()?.ok()??;
        self.spend_retry().then_some(place)
    }

    /// The beginning of this engine's answer; where two may be asked, with the first of its body.
    async fn begin_at(&self, place: Place) -> Begun {
        let engine = Arc::clone(place.engine());
        let mut reached = self.reach(&engine, place).await.inspect_err(|error| {
            self.note_end(engine.slot(), error.kind);
        })?;
        let is_stream = reached.status.is_success() && is_event_stream(&reached.headers);
        if self.limits.hedge && is_stream && self.kind == AnswerKind::Stream {
            reached.first = loop {
                match reached.source.next().await {
                    // Whoever waits for the beginning puts in comments already.
                    Piece::Quiet => {}
                    piece => break Some(piece),
                }
            };
        }
        Ok(reached)
    }
}

/// Of two beginnings the first one that is an answer; else what is left.
async fn sooner(
    mut first: std::pin::Pin<&mut impl Future<Output = Begun>>,
    mut second: std::pin::Pin<&mut impl Future<Output = Begun>>,
) -> Begun {
    let (begun, is_first) = tokio::select! {
        begun = first.as_mut() => (begun, true),
        begun = second.as_mut() => (begun, false),
    };
    if is_answer(&begun) {
        return begun;
    }
    let other = if is_first { second.await } else { first.await };
    if is_answer(&other) || begun.is_err() {
        other
    } else {
        begun
    }
}

/// Whether the other engine has nothing better to say.
fn is_answer(begun: &Begun) -> bool {
    let Ok(reached) = begun else {
        return false;
    };
    if let Some(piece) = &reached.first {
        return matches!(piece, Piece::Data(_));
    }
    let status = reached.status;
    status.is_success() || (status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS)
}
