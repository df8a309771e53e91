//! The shared memory that the wallet works on, as a trait: the hot segment, the model checker and
//! the simulator each lend their own.

/// Shared 64-bit words, and pairs of them that change at once. Indices are the caller's business;
/// a pair begins at an even index and is never touched word by word.
///
/// What is needed of the memory is in [`ordering`].
pub trait Words {
    /// The word at an index.
    fn load(&self, at: usize) -> u64;
    /// Writes it.
    fn store(&self, at: usize, value: u64);
    /// Writes `new` if the word is `old`; whether it was.
    fn swap(&self, at: usize, old: u64, new: u64) -> bool;
    /// Writes `value` if the word is smaller.
    fn raise(&self, at: usize, value: u64);
    /// The pair at an even index.
    fn load_pair(&self, at: usize) -> u128;
    /// Writes it.
    fn store_pair(&self, at: usize, value: u128);
    /// Writes `new` if the pair is `old`.
    ///
    /// # Errors
    /// What the pair is instead; nothing was written.
    fn swap_pair(&self, at: usize, old: u128, new: u128) -> Result<(), u128>;
}

/// The orderings that suffice, for words and pairs alike.
pub mod ordering {
    use std::sync::atomic::Ordering;

    /// A load sees all that was written before the store it reads from.
    pub const LOAD: Ordering = Ordering::Acquire;
    /// A store shows all that was written before it.
    pub const STORE: Ordering = Ordering::Release;
    /// What reads and writes at once does both.
    pub const CHANGE: Ordering = Ordering::AcqRel;
}
