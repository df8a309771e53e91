//! `signal` for the model checker, which sees no descriptors: the count of an eventfd as an atomic.

use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;

use loom::sync::atomic::{AtomicU64, Ordering};

loom::thread_local! {
    static HAS_TURNS: Cell<bool> = Cell::new(false);
}

pub(super) fn has_turns() -> bool {
    HAS_TURNS.with(Cell::get)
}

pub(super) fn begin_turns() {
    HAS_TURNS.with(|has_turns| has_turns.set(true));
}

#[derive(Debug)]
pub(super) struct Signal(AtomicU64);

impl Signal {
    pub fn new() -> io::Result<Self> {
        Ok(Self(AtomicU64::new(0)))
    }

    pub fn descriptor(&self) -> BorrowedFd<'_> {
        panic!("a model has no event loop")
    }

    pub fn raise(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    pub fn lower(&self) {
        self.0.swap(0, Ordering::AcqRel);
    }

    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}
