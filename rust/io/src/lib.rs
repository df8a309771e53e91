//! The only Rust that touches the world: sockets, shared memory, the clock.

pub mod clock;
pub mod forward;
pub mod segment;
mod sync;
