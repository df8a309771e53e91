//! The only Rust that touches the world: sockets, memory, the clock.

pub mod clock;
pub mod forward;
pub mod scratch;
pub mod segment;
mod sync;
