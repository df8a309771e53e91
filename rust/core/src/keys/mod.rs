//! API keys: the text of a secret, its digest, and the table that finds a key by it.
//!
//! Knows no file, clock or database: the words of the table and the time are arguments. The hot
//! segment lends the words; `tokenmill_io::segment` calls this for every request.

mod checksum;
mod slot;
mod table;

#[cfg(test)]
mod table_tests;

pub(crate) use checksum::crc32;
pub use checksum::{CHECKSUM_CHARACTERS, RANDOM_CHARACTERS, checksum, is_well_formed};
pub use slot::{EXPIRES_AT_S_MAX, KeyRecord, SLOT_WORDS};
pub use table::{COUNT_WORDS, KeyTable, TableFull, slots_for};

use sha2::{Digest as _, Sha256};

/// What the secrets of inference keys begin with.
pub const API_KEY_PREFIX: &str = "pk_live_";

/// SHA-256 of a secret: all that is ever stored of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u64; 4]);

impl Digest {
    /// The digest of a secret's text.
    pub fn of(secret: &[u8]) -> Self {
        Self::from_bytes(Sha256::digest(secret).into())
    }

    /// The digest whose 32 bytes these are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, eight) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*eight);
        }
        Self(words)
    }

    /// The digest as the words that a slot holds.
    pub fn words(self) -> [u64; 4] {
        self.0
    }

    /// Whether both are the same, in a time that does not tell where they differ.
    pub fn matches(self, words: [u64; 4]) -> bool {
        let difference = self
            .0
            .iter()
            .zip(words)
            .fold(0, |all, (a, b)| all | (a ^ b));
        difference == 0
    }
}

/// Why a secret opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRefusal {
    /// Not the prefix, base62 and its checksum: refused before any look-up.
    Malformed,
    /// Well formed, but no such key was ever made here (or it was revoked long ago).
    Unknown,
    /// The key was revoked.
    Revoked,
    /// The key's time is over.
    Expired,
}

/// What the secret opens at `wall_s` (seconds since the epoch).
///
/// Cost: one CRC32; then one SHA-256 and one probe of the table.
///
/// # Errors
/// [`KeyRefusal`], which is an answer and not a failure.
pub fn find(table: &KeyTable<'_>, secret: &[u8], wall_s: u64) -> Result<KeyRecord, KeyRefusal> {
    if !is_well_formed(secret, API_KEY_PREFIX) {
        return Err(KeyRefusal::Malformed);
    }
    let (record, is_live) = table.find(Digest::of(secret)).ok_or(KeyRefusal::Unknown)?;
    if !is_live {
        return Err(KeyRefusal::Revoked);
    }
    if record.is_expired(wall_s) {
        return Err(KeyRefusal::Expired);
    }
    Ok(record)
}
