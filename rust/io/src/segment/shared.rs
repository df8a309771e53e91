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

#[cfg(test)]
mod tests {
    use std::array;

    use super::*;

    const THREADS: u64 = 3;
    const TURNS: u64 = if cfg!(miri) { 20 } else { 20_000 };

    /// Words as a page holds them, without a file: Miri runs this too.
    #[repr(align(64))]
    struct Line([AtomicU64; 8]);

    fn line() -> Line {
        Line(array::from_fn(|_| AtomicU64::new(0)))
    }

    #[test]
    fn halves_of_a_pair_change_together_and_its_neighbours_do_not() {
        let line = line();
        let words = SharedWords(&line.0);
        std::thread::scope(|threads| {
            for _ in 0..THREADS {
                threads.spawn(|| {
                    for _ in 0..TURNS {
                        let mut seen = words.load_pair(2);
                        while let Err(other) = words.swap_pair(2, seen, seen + (1 << 64) + 1) {
                            seen = other;
                        }
                        words.raise(1, u64::MAX);
                        words.store(4, u64::MAX);
                    }
                });
            }
        });
        let count = u128::from(THREADS * TURNS);
        assert_eq!(words.load_pair(2), count << 64 | count);
        assert_eq!((words.load(1), words.load(4)), (u64::MAX, u64::MAX));
        assert_eq!((words.load(0), words.load(5)), (0, 0));
        words.store_pair(2, 7);
        assert_eq!(words.load_pair(2), 7);
    }

    #[test]
    #[should_panic(expected = "even index")]
    fn a_pair_at_an_odd_index_is_refused() {
        SharedWords(&line().0).load_pair(1);
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn a_pair_beyond_the_end_is_refused() {
        SharedWords(&line().0).load_pair(8);
    }
}
