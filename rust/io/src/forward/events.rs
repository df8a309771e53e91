//! What a relay tells its caller, one event after the other.

use http::{HeaderName, HeaderValue};

use super::error::{EndReason, ForwardError};

/// The answer began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The engine's status.
    pub status: u16,
    /// Headers to pass on; empty but for plain answers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// From the start to the answer's first byte; 0 when a keep-alive came first.
    pub first_byte_ns: u64,
}

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The engine's status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// From the start to the answer's first byte.
    pub first_byte_ns: u64,
}

/// The last event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// How it ended.
    pub reason: EndReason,
    /// What happened.
    pub detail: String,
    /// Whether what the engine generated got this far.
    pub sent_tokens: bool,
    /// When to come back; 0: nobody can tell.
    pub retry_after_ms: u64,
}

impl End {
    /// The end that an error makes.
    pub fn of(error: ForwardError, sent_tokens: bool) -> Self {
        Self {
            reason: error.kind,
            detail: error.detail,
            sent_tokens,
            retry_after_ms: error.retry_after_ms,
        }
    }

    /// An end without more to say.
    pub fn bare(reason: EndReason, sent_tokens: bool) -> Self {
        Self {
            reason,
            detail: String::new(),
            sent_tokens,
            retry_after_ms: 0,
        }
    }
}

/// No engine of the pool holds the adapter that the request is for. It waits, with all that it
/// holds, until it is told to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lack {
    /// The slot of the engine that was asked last; -1: none was.
    pub engine: i32,
}

/// What Python takes.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// The answer began.
    Head(Head),
    /// All of the answer.
    Whole(Whole),
    /// All frames, or body bytes, that are ready.
    Frames(Vec<u8>),
    /// An adapter has to be loaded first.
    Lack(Lack),
    /// Nothing comes after it.
    End(End),
}
