//! The body of an engine's answer, read piece by piece under the time limits.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::connection::Link;
use super::fleet::{DEPARTED, Engine};
use super::limits::Limits;
use crate::clock;

/// How long, and for how many bytes, the end of a body is waited for after the last event, so that
/// its connection can be kept.
const TAIL_WAIT: Duration = Duration::from_millis(500);
const TAIL_BYTES_MAX: usize = 16 * 1024;

/// Between looks at whether a silent engine has left the fleet.
pub(super) const DEPARTED_LOOK: Duration = Duration::from_secs(2);

/// What came of waiting for the body.
pub(super) enum Piece {
    /// Bytes of it.
    Data(Bytes),
    /// Its proper end.
    End,
    /// Its end before that, and why.
    Failed(hyper::Error),
    /// Nothing for as long as the limit allows; whether any byte had come before.
    Stalled { had_byte: bool },
    /// The engine has left the fleet and says nothing any more.
    Departed,
    /// Nothing was relayed for so long that the client should hear from us.
    Quiet,
}

/// A body and the connection it comes over.
pub(super) struct Source {
    engine: Arc<Engine>,
    link: Link,
    body: Incoming,
    /// The limit for the first byte, then the one between bytes.
    patience: Duration,
    stall: Duration,
    comment: Duration,
    had_byte: bool,
    last_byte: Instant,
    last_relayed: Instant,
    /// Set anew only when it fires: most pieces come long before it would.
    timer: Pin<Box<Sleep>>,
}

impl Source {
    /// `comment` is the longest silence towards the client. An engine sends its head before it has
    /// anything to say: the body's first byte has the limit of a first byte.
    pub fn new(
        engine: Arc<Engine>,
        link: Link,
        body: Incoming,
        limits: &Limits,
        comment: Duration,
    ) -> Self {
        let now = Instant::now();
        let patience = limits.first_byte;
        Self {
            engine,
            link,
            body,
            patience,
            stall: limits.stall,
            comment,
            had_byte: false,
            last_byte: now,
            last_relayed: now,
            timer: Box::pin(sleep_until(now + patience.min(comment).min(DEPARTED_LOOK))),
        }
    }

    /// The length that the body has at least, by its headers.
    pub fn bytes_min(&self) -> u64 {
        self.body.size_hint().lower()
    }

    /// Something was relayed: the client's silence begins anew.
    pub fn note_relayed(&mut self) {
        self.last_relayed = self.last_byte;
    }

    /// The client made us wait: what passed meanwhile is not the engine's fault.
    pub fn note_pause(&mut self) {
        self.last_byte = Instant::now();
        self.last_relayed = self.last_byte;
    }

    /// Waits for the next piece.
    pub async fn next(&mut self) -> Piece {
        poll_fn(|context| match self.poll_piece(context) {
            Poll::Pending => self.poll_timer(context),
            ready @ Poll::Ready(_) => ready,
        })
        .await
    }

    /// The next piece if it is there already.
    pub async fn next_ready(&mut self) -> Option<Piece> {
        poll_fn(|context| match self.poll_piece(context) {
            Poll::Ready(piece) => Poll::Ready(Some(piece)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Reads a body that has said all that matters to its end; the connection, if it can be kept.
    pub async fn into_reusable(mut self: Box<Self>) -> Option<Link> {
        timeout(TAIL_WAIT, self.reads_to_end())
            .await
            .unwrap_or(false)
            .then_some(self.link)
    }

    async fn reads_to_end(&mut self) -> bool {
        let mut bytes = 0;
        while !self.body.is_end_stream() {
            let link = &mut self.link;
            match poll_fn(|context| link.poll_body(&mut self.body, context)).await {
                Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) => return false,
                None => break,
            }
            if bytes > TAIL_BYTES_MAX {
                return false;
            }
        }
        self.link.is_reusable().await
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        loop {
            let Poll::Ready(polled) = self.link.poll_body(&mut self.body, context) else {
                return Poll::Pending;
            };
            let piece = match polled {
                None => Piece::End,
                Some(Err(error)) => Piece::Failed(error),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.note_byte();
                        Piece::Data(data)
                    }
                    // Trailers say nothing that we pass on.
                    Err(_) => continue,
                },
            };
            self.last_byte = Instant::now();
            return Poll::Ready(piece);
        }
    }

    /// From here on the limit between bytes holds; if it is the shorter one, the timer must know.
    fn note_byte(&mut self) {
        if !self.had_byte {
            self.had_byte = true;
            self.patience = self.stall;
            let next = Instant::now() + self.stall.min(self.comment);
            if next < self.timer.deadline() {
                self.timer.as_mut().reset(next);
            }
        }
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        while self.timer.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            if now >= self.last_byte + self.patience {
                let had_byte = self.had_byte;
                return Poll::Ready(Piece::Stalled { had_byte });
            }
            if now >= self.last_byte + DEPARTED && self.engine.has_departed(clock::monotonic_ms()) {
                return Poll::Ready(Piece::Departed);
            }
            let is_quiet = now >= self.last_relayed + self.comment;
            if is_quiet {
                self.last_relayed = now;
            }
            let next = (self.last_byte + self.patience).min(self.last_relayed + self.comment);
            self.timer.as_mut().reset(next.min(now + DEPARTED_LOOK));
            if is_quiet {
                return Poll::Ready(Piece::Quiet);
            }
        }
        Poll::Pending
    }
}
