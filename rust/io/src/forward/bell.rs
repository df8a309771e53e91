//! Tells the event loop, through one descriptor, which relays have something for it.
//!
//! Many relays become ready while the loop is busy; the descriptor is written once for all of them.
//! So are those that become ready in one turn of the I/O thread: an engine's step brings a token to
//! every stream at once, and waking the loop for each of them costs more than the tokens.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Relays that wait for the end of the turn at most: turns of a busy thread are long.
const HELD_MAX: usize = 32;

thread_local! {
    /// This thread calls [`Bell::end_turn`] before it sleeps.
    static HAS_TURNS: Cell<bool> = const { Cell::new(false) };
}

#[derive(Debug, Default)]
struct Ready {
    relays: Vec<u64>,
    /// The descriptor was written and not read since.
    is_signalled: bool,
}

/// A list of ready relays and the descriptor that is readable while it is not empty.
#[derive(Debug)]
pub struct Bell {
    ready: Mutex<Ready>,
    listen: OwnedFd,
    /// The writing end of a pipe, where there is no eventfd.
    signal: Option<OwnedFd>,
}

impl Bell {
    /// A silent bell.
    ///
    /// # Errors
    /// The system's, when no descriptor is left.
    pub fn new() -> io::Result<Self> {
        let (listen, signal) = descriptors()?;
        Ok(Self {
            ready: Mutex::default(),
            listen,
            signal,
        })
    }

    /// What the event loop watches for reading.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.listen.as_fd()
    }

    /// From now on what rings on this thread is told at the end of a turn.
    pub fn begin_turns() {
        HAS_TURNS.set(true);
    }

    /// Tells the loop of all that rang in this turn.
    pub fn end_turn(&self) {
        let ready = self.lock();
        if !ready.relays.is_empty() {
            self.signal(ready);
        }
    }

    /// Puts a relay on the list. Cost: a system call only when the loop has not been told yet, and
    /// on a thread with turns only when many wait.
    pub fn ring(&self, relay: u64) {
        let mut ready = self.lock();
        ready.relays.push(relay);
        if !HAS_TURNS.get() || ready.relays.len() >= HELD_MAX {
            self.signal(ready);
        }
    }

    fn signal(&self, mut ready: MutexGuard<'_, Ready>) {
        if std::mem::replace(&mut ready.is_signalled, true) {
            return;
        }
        drop(ready);
        let signal = self.signal.as_ref().unwrap_or(&self.listen);
        // Eight bytes are what an eventfd takes. It cannot be full: one write is unread at most.
        let _ = rustix::io::write(signal, &1_u64.to_ne_bytes());
    }

    /// Moves the list to `relays`, which must be empty, and silences the bell.
    pub fn take(&self, relays: &mut Vec<u64>) {
        let mut bytes = [0_u8; 8];
        // Would block: the loop was told before and has taken the list since.
        let _ = rustix::io::read(&self.listen, &mut bytes);
        let mut ready = self.lock();
        ready.is_signalled = false;
        std::mem::swap(&mut ready.relays, relays);
    }

    fn lock(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(target_os = "linux")]
fn descriptors() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    use rustix::event::{EventfdFlags, eventfd};
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    Ok((eventfd(0, flags)?, None))
}

#[cfg(not(target_os = "linux"))]
fn descriptors() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    let (listen, signal) = rustix::pipe::pipe()?;
    for end in [&listen, &signal] {
        rustix::io::ioctl_fionbio(end, true)?;
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok((listen, Some(signal)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    fn is_readable(bell: &Bell) -> bool {
        let mut descriptors = [PollFd::new(&bell.listen, PollFlags::IN)];
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
