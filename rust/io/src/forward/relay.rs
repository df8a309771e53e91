//! One request on its way, as its caller holds it. What happens to it happens on the I/O thread.

use std::sync::Arc;

use tokenmill_core::usage::Usage;
use tokenmill_core::wallet::Refusal;
use tokio::task::AbortHandle;

use super::mailbox::{Item, Mailbox};

/// One request on its way. Dropping it closes the engine's connection at once.
pub struct Relay {
    mailbox: Arc<Mailbox>,
    task: AbortHandle,
}

impl Relay {
    pub(super) fn new(mailbox: Arc<Mailbox>, task: AbortHandle) -> Self {
        Self { mailbox, task }
    }

    /// The number that [`Forwarder::take_ready`](super::Forwarder::take_ready) names it by.
    pub fn id(&self) -> u64 {
        self.mailbox.id()
    }

    /// The next event, if one is there.
    pub fn take(&self) -> Option<Item> {
        self.mailbox.take()
    }

    /// Whether an event is there; if not, the bell rings for the next one.
    pub fn arm(&self) -> bool {
        self.mailbox.arm()
    }

    /// Our client went: closes the engine's connection at once.
    pub fn close(&self) {
        // A relay that is over may still be reading its answer's last bytes to keep the connection.
        if !self.mailbox.is_over() {
            self.task.abort();
        }
        self.mailbox.shut();
    }

    /// The last usage received.
    pub fn usage(&self) -> Usage {
        self.mailbox.usage()
    }

    /// Nanos that were billed; 0 before the end.
    pub fn cost_nanos(&self) -> i64 {
        self.mailbox.cost_nanos()
    }

    /// What would have refused it, where nothing is enforced.
    pub fn overlooked(&self) -> Option<Refusal> {
        self.mailbox.overlooked()
    }

    /// The engine's slot, -1 before one was chosen.
    pub fn engine(&self) -> i32 {
        self.mailbox.engine()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.close();
    }
}
