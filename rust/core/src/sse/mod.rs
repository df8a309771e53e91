//! Server-sent events: bytes into events, events into bytes, and the rules of an engine's stream.
//!
//! Nothing here knows of sockets or time. `answer` is what the forwarder feeds; `framer` and
//! `writer` are its two ends.

mod answer;
mod framer;
mod writer;

pub use answer::{AnswerStream, StreamEnd, StreamShape, UsageShape, Verdict};
pub use framer::{Event, FrameError, Framer};
pub use writer::{DONE, KEEP_ALIVE, Pieces};
