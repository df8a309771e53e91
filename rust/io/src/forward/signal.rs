//! The descriptor that wakes the event loop, and which thread has turns.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

thread_local! {
    /// This thread tells the loop at the end of its turns.
    static HAS_TURNS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread has turns.
pub(super) fn has_turns() -> bool {
    HAS_TURNS.get()
}

/// From now on it has.
pub(super) fn begin_turns() {
    HAS_TURNS.set(true);
}

/// A descriptor that is readable while it is raised.
#[derive(Debug)]
pub(super) struct Signal {
    listen: OwnedFd,
    /// The writing end of a pipe, where there is no eventfd.
    write: Option<OwnedFd>,
}

impl Signal {
    /// One that is not raised.
    ///
    /// # Errors
    /// The system's, when no descriptor is left.
    pub fn new() -> io::Result<Self> {
        let (listen, write) = descriptors()?;
        Ok(Self { listen, write })
    }

    /// What the event loop watches for reading.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.listen.as_fd()
    }

    /// Raises it. At most once between two calls of [`Self::lower`], so it is never full.
    pub fn raise(&self) {
        let write = self.write.as_ref().unwrap_or(&self.listen);
        // Eight bytes are what an eventfd takes.
        let _ = rustix::io::write(write, &1_u64.to_ne_bytes());
    }

    /// Lowers it, if it was raised.
    pub fn lower(&self) {
        let mut bytes = [0_u8; 8];
        let _ = rustix::io::read(&self.listen, &mut bytes);
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
