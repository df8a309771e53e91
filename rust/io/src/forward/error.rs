//! Why a request could not be forwarded: what happened, on whose side, and whether to try again.

use std::fmt;

/// How a relay ended. The words of the contract with Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The answer is complete.
    Complete,
    /// The pool is empty.
    NoEngine,
    /// No engine of the pool could be connected to.
    Refused,
    /// Connecting took too long.
    ConnectTimeout,
    /// No head of an answer came in time.
    FirstByteTimeout,
    /// Nothing came for too long in mid-answer.
    Stalled,
    /// The engine's connection ended before the answer did.
    Closed,
    /// The engine gave up a choice.
    Aborted,
    /// The engine sent an error inside the stream.
    ErrorEvent,
    /// Not HTTP, not server-sent events, or not JSON.
    Malformed,
    /// An event or an answer over its bound.
    TooLarge,
    /// Our client did not read.
    ReaderStalled,
    /// The worker's drain deadline passed, or it drains and the request waited for a place.
    Drained,
    /// The relay or the forwarder was closed.
    Cancelled,
    /// No engine had a place in time.
    Overloaded,
}

/// Who is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The engine or the way to it.
    Upstream,
    /// Our client.
    Downstream,
    /// This process.
    Internal,
}

/// Whether the same request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The engine may have begun to work on it.
    Never,
    /// A kept connection was gone before a byte came back: once more, on a fresh one.
    OnReusedConnection,
    /// The engine went without a byte: another one may have it, once. What this one did is lost.
    Elsewhere,
    /// It never reached an engine: any other may have it.
    Safe,
}

/// A request that got no answer, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardError {
    /// What the relay ends with, unless it is tried again.
    pub kind: EndReason,
    /// Who is at fault.
    pub side: Side,
    /// Whether the same request may be sent again.
    pub retry: Retry,
    /// What happened, for the log; no secrets and no client text in it.
    pub detail: String,
    /// When to come back; 0: nobody can tell.
    pub retry_after_ms: u64,
}

impl ForwardError {
    /// The engine's fault, and not to be tried again.
    pub fn upstream(kind: EndReason, detail: impl fmt::Display) -> Self {
        Self {
            kind,
            side: Side::Upstream,
            retry: Retry::Never,
            detail: detail.to_string(),
            retry_after_ms: 0,
        }
    }

    /// Our client's fault.
    pub fn downstream(kind: EndReason, detail: impl fmt::Display) -> Self {
        Self {
            side: Side::Downstream,
            ..Self::upstream(kind, detail)
        }
    }

    /// The same with another answer to "try again?".
    #[must_use]
    pub fn retried(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// What hyper found wrong with an answer.
    pub fn of_answer(error: &hyper::Error) -> Self {
        let kind = if error.is_parse() || is_bad_chunk(error) {
            EndReason::Malformed
        } else {
            EndReason::Closed
        };
        Self::upstream(kind, with_causes(error))
    }
}

/// Whether a body broke the rules of chunked coding, rather than just ending.
fn is_bad_chunk(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error);
    cause
        .and_then(|cause| cause.downcast_ref::<std::io::Error>())
        .is_some_and(|cause| {
            matches!(
                cause.kind(),
                std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData
            )
        })
}

/// An error's text with those of its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// Why a request could not be taken on at all.
#[derive(Debug)]
pub enum StartError {
    /// This process is a fork of the one that made the forwarder: its thread is not here.
    Forked,
    /// The forwarder was closed.
    Closed,
    /// The target is no path of a URL.
    Target,
    /// A method or header that HTTP does not allow.
    Request,
    /// The thread or its runtime could not be made.
    Thread(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forked => write!(
                out,
                "this process is a fork, and the forwarder's thread is not in it: make a new one"
            ),
            Self::Closed => write!(out, "the forwarder is closed"),
            Self::Target => write!(out, "the target must be a path with an optional query"),
            Self::Request => write!(out, "the method or a header is not one that HTTP allows"),
            Self::Thread(error) => write!(out, "the I/O thread could not be started: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread(error) => Some(error),
            Self::Forked | Self::Closed | Self::Target | Self::Request => None,
        }
    }
}
