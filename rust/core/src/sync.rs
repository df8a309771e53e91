//! The atomics of what processes share: the standard ones, or the model checker's.

#[cfg(feature = "loom")]
pub use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(feature = "loom"))]
pub use std::sync::atomic::{AtomicU64, Ordering, fence};
