//! One request on its way, as its caller holds it. What happens to it happens on the I/O thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokenmill_core::usage::Usage;
use tokenmill_core::wallet::Refusal;
use tokio::task::AbortHandle;

use super::error::EndReason;
use super::events::{End, Item};
use super::io_thread::Shared;
use super::mailbox::{Course, Mailbox};
use super::tally::Tally;

/// One request on its way. Dropping it closes the engine's connection at once.
pub struct Relay {
    mailbox: Arc<Mailbox>,
    task: AbortHandle,
    shared: Arc<Shared>,
    /// Until it is closed, if it is counted.
    tally: Mutex<Option<Tally>>,
}

impl Relay {
    pub(super) fn new(
        mailbox: Arc<Mailbox>,
        task: AbortHandle,
        shared: Arc<Shared>,
        tally: Option<Tally>,
    ) -> Self {
        Self {
            mailbox,
            task,
            shared,
            tally: Mutex::new(tally),
        }
    }

    /// The number that [`Forwarder::take_ready`](super::Forwarder::take_ready) names it by.
    pub fn id(&self) -> u64 {
        self.mailbox.id()
    }

    /// The next event, if one is there.
    pub fn take(&self) -> Option<Item> {
        let item = self.mailbox.take()?;
        if let Some(tally) = &*self.lock_tally() {
            tally.note(&item, self.mailbox.usage());
        }
        Some(item)
    }

    /// Whether an event is there.
    pub fn is_ready(&self) -> bool {
        self.mailbox.is_ready()
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
        if let Some(tally) = self.lock_tally().take() {
            tally.note_usage(self.mailbox.usage());
        }
    }

    /// An engine of this pool of the fleet of now holds the adapter that was lacking.
    pub fn go_on(&self, pool: usize) {
        let fleet = self.shared.fleet();
        self.mailbox.go_on(Course { fleet, pool });
    }

    /// Nobody can load the adapter that is lacking: the end, and nothing is billed.
    pub fn give_up(&self) {
        self.task.abort();
        self.mailbox.put_end(End::bare(EndReason::NoEngine, false));
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

    fn lock_tally(&self) -> MutexGuard<'_, Option<Tally>> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.close();
    }
}
