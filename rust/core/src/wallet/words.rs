//! The shared memory that the wallet works on, as a trait: the hot segment, the model checker and
//! the simulator each lend their own.

/// Shared 64-bit words, and pairs of them that change at once. Indices are the caller's business;
/// a pair begins at an even index and is never touched word by word.
///
/// What is needed of the memory: a load sees all that was written before the store it reads from
/// (acquire and release), and every `swap` and `raise` does both.
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
