//! Requests to engines and their answers, on one thread of its own that never waits for Python.
//!
//! `forwarder` owns the thread; each request is one task (`journey`) that gets a place at an engine
//! (`gate`, `fleet`, `connection`), relays the answer (`answer`) into its `mailbox`, and rings the
//! `bell`.
//! Dropping the task at any instant closes its connection: nothing of it lives elsewhere.

mod address;
mod answer;
mod bell;
mod charge;
mod connection;
mod ending;
mod error;
mod events;
mod fleet;
mod forwarder;
mod gate;
mod health;
mod hedging;
mod io_thread;
mod journey;
mod limits;
mod mailbox;
#[cfg(all(test, feature = "loom"))]
mod models;
mod pool;
mod reaching;
mod relay;
mod request;
#[cfg_attr(feature = "loom", path = "signal_model.rs")]
mod signal;
mod source;
mod tally;
mod tls;

pub use bell::Bell;
pub use charge::Admission;
pub use error::{EndReason, ForwardError, Retry, Side, StartError};
pub use events::{End, Head, Item, Lack, Whole};
pub use fleet::FleetError;
pub use forwarder::{Forwarder, Order, Started};
pub use limits::Limits;
pub use relay::Relay;
pub use request::{AnswerKind, Headers, Outbound};
