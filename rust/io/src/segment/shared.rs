//! The mapped words as the wallet wants them.

use std::io;
use std::sync::atomic::AtomicU64;

use portable_atomic::AtomicU128;
use tokenmill_core::wallet::{Words, ordering};

/// Refuses a processor whose 128-bit atomics are made with locks: those live in one process.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`].
pub(super) fn check_atomics() -> io::Result<()> {
    if AtomicU128::is_lock_free() {
        return Ok(());
    }
    let message = "this processor cannot swap 128 bits at once (x86-64 needs cmpxchg16b)";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

/// Words that other processes change too.
pub(super) struct SharedWords<'a>(pub &'a [AtomicU64]);

impl SharedWords<'_> {
    fn pair(&self, at: usize) -> &AtomicU128 {
        let pair: &[AtomicU64] = &self.0[at..at + 2];
        #[expect(clippy::cast_ptr_alignment, reason = "checked in the next line")]
        let pair = pair.as_ptr().cast::<AtomicU128>();
        assert!(pair.is_aligned(), "a pair begins at an even index");
        // SAFETY: both words are in bounds, live as long as `self`, and are aligned for 128 bits.
        // They are never used as two 64-bit atomics: the layout keeps pairs and words apart.
        unsafe { &*pair }
    }
}

impl Words for SharedWords<'_> {
    fn load(&self, at: usize) -> u64 {
        self.0[at].load(ordering::LOAD)
    }

    fn store(&self, at: usize, value: u64) {
        self.0[at].store(value, ordering::STORE);
    }

    fn swap(&self, at: usize, old: u64, new: u64) -> bool {
        self.0[at]
            .compare_exchange(old, new, ordering::CHANGE, ordering::LOAD)
            .is_ok()
    }

    fn raise(&self, at: usize, value: u64) {
        self.0[at].fetch_max(value, ordering::CHANGE);
    }

    fn load_pair(&self, at: usize) -> u128 {
        self.pair(at).load(ordering::LOAD)
    }

    fn store_pair(&self, at: usize, value: u128) {
        self.pair(at).store(value, ordering::STORE);
    }

    fn swap_pair(&self, at: usize, old: u128, new: u128) -> Result<(), u128> {
        self.pair(at)
            .compare_exchange(old, new, ordering::CHANGE, ordering::LOAD)
            .map(|_| ())
    }
}
