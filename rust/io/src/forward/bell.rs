//! Tells the event loop, through one descriptor, which relays have something for it.
//!
//! Many relays become ready while the loop is busy; the descriptor is written once for all of them.
//! So are those that become ready in one turn of the I/O thread: an engine's step brings a token to
//! every stream at once, and waking the loop for each of them costs more than the tokens.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::PoisonError;

use super::signal::{Signal, begin_turns, has_turns};
use crate::sync::{Mutex, MutexGuard};

/// Relays that wait for the end of the turn at most: turns of a busy thread are long.
const HELD_MAX: usize = 32;

#[derive(Debug, Default)]
struct Ready {
    relays: Vec<u64>,
    /// The signal was raised and not lowered since.
    is_signalled: bool,
}

/// A list of ready relays and the descriptor that is readable while it is not empty.
#[derive(Debug)]
pub struct Bell {
    ready: Mutex<Ready>,
    signal: Signal,
}

impl Bell {
    /// A silent bell.
    ///
    /// # Errors
    /// The system's, when no descriptor is left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            ready: Mutex::default(),
            signal: Signal::new()?,
        })
    }

    /// What the event loop watches for reading.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.signal.descriptor()
    }

    /// From now on what rings on this thread is told at the end of a turn.
    pub fn begin_turns() {
        begin_turns();
    }

    /// Tells the loop of all that rang in this turn.
    pub fn end_turn(&self) {
        let ready = self.lock();
        if !ready.relays.is_empty() {
            self.raise(ready);
        }
    }

    /// Puts a relay on the list. Cost: a system call only when the loop has not been told yet, and
    /// on a thread with turns only when many wait.
    pub fn ring(&self, relay: u64) {
        let mut ready = self.lock();
        ready.relays.push(relay);
        if !has_turns() || ready.relays.len() >= HELD_MAX {
            self.raise(ready);
        }
    }

    fn raise(&self, mut ready: MutexGuard<'_, Ready>) {
        if std::mem::replace(&mut ready.is_signalled, true) {
            return;
        }
        drop(ready);
        self.signal.raise();
    }

    /// Moves the list to `relays`, which must be empty, and silences the bell.
    pub fn take(&self, relays: &mut Vec<u64>) {
        // Before the list is taken: what rings after it raises the signal again.
        self.signal.lower();
        let mut ready = self.lock();
        ready.is_signalled = false;
        std::mem::swap(&mut ready.relays, relays);
    }

    /// Whether the event loop would wake up.
    #[cfg(all(test, feature = "loom"))]
    pub(super) fn is_audible(&self) -> bool {
        self.signal.is_raised()
    }

    fn lock(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[cfg(not(feature = "loom"))]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    fn is_readable(bell: &Bell) -> bool {
        let descriptor = bell.descriptor();
        let mut descriptors = [PollFd::new(&descriptor, PollFlags::IN)];
        let now = rustix::time::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut descriptors, Some(&now)).unwrap() == 1
    }

    #[test]
    fn many_rings_are_one_signal_and_one_list() {
        let bell = Bell::new().unwrap();
        assert!(!is_readable(&bell));
        bell.ring(1);
        bell.ring(2);
        assert!(is_readable(&bell));
        let mut relays = Vec::new();
        bell.take(&mut relays);
        assert_eq!(relays, [1, 2]);
        assert!(!is_readable(&bell));
    }

    #[test]
    fn what_rings_in_one_turn_is_told_at_its_end_or_when_it_is_much() {
        let bell = Bell::new().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                Bell::begin_turns();
                bell.end_turn();
                assert!(!is_readable(&bell));
                bell.ring(1);
                bell.ring(2);
                assert!(!is_readable(&bell));
                bell.end_turn();
                assert!(is_readable(&bell));
                let mut relays = Vec::new();
                bell.take(&mut relays);
                assert_eq!(relays, [1, 2]);
                (0..HELD_MAX as u64).for_each(|relay| bell.ring(relay));
                assert!(is_readable(&bell));
            });
        });
    }

    #[test]
    fn a_ring_after_the_list_was_taken_signals_again() {
        let bell = Bell::new().unwrap();
        bell.ring(1);
        bell.take(&mut Vec::new());
        bell.ring(3);
        assert!(is_readable(&bell));
    }
}
