//! The bounds of one forwarder, from settings.

use std::time::Duration;

/// Bounds on time and memory of every request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To connect to an engine.
    pub connect: Duration,
    /// From the request sent to the head of the answer.
    pub first_byte: Duration,
    /// Between two reads of an answer.
    pub stall: Duration,
    /// Of silence before a stream's client gets a comment.
    pub comment: Duration,
    /// That a full buffer waits for our client.
    pub reader_stall: Duration,
    /// Bytes that wait for our client before the engine is read no further.
    pub buffer_bytes_max: usize,
    /// Bytes of one server-sent event.
    pub event_bytes_max: usize,
    /// Bytes of one answer that is collected whole.
    pub answer_bytes_max: usize,
    /// Connections kept open to each engine while they are not used.
    pub idle_connections_max: usize,
    /// Requests that wait for a place at an engine, in this worker.
    pub waiting_max: usize,
    /// How long one waits before it is refused.
    pub wait: Duration,
    /// Whether a second engine is asked for a stream that begins later than nineteen of twenty.
    pub hedge: bool,
}
