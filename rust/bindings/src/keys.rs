//! Keys as Python sees them: what one opens, and the records that control loads.

use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;
use tokenmill_core::keys::{self, Digest, EXPIRES_AT_S_MAX, KeyRecord, TableFull};

/// Bytes of a record of `put_keys`: digest 32, key id 8, account id 8, expiry 8, scopes 2, tier 1,
/// and 5 unused; little-endian.
pub const PACKED_BYTES: usize = 64;

/// Why a key opens nothing.
#[pyclass(eq, eq_int, hash, frozen, module = "tokenmill._native")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyRefusal {
    #[pyo3(name = "MALFORMED")]
    Malformed,
    #[pyo3(name = "UNKNOWN")]
    Unknown,
    #[pyo3(name = "REVOKED")]
    Revoked,
    #[pyo3(name = "EXPIRED")]
    Expired,
}

impl From<keys::KeyRefusal> for KeyRefusal {
    fn from(refusal: keys::KeyRefusal) -> Self {
        match refusal {
            keys::KeyRefusal::Malformed => Self::Malformed,
            keys::KeyRefusal::Unknown => Self::Unknown,
            keys::KeyRefusal::Revoked => Self::Revoked,
            keys::KeyRefusal::Expired => Self::Expired,
        }
    }
}

/// A live key as the hot segment knows it.
#[pyclass(frozen, get_all, module = "tokenmill._native")]
pub struct KeyEntry {
    pub(crate) key_id: u64,
    pub(crate) account_id: u64,
    pub(crate) tier: u8,
    pub(crate) scopes: u16,
}

pub fn parse_digest(bytes: &[u8]) -> PyResult<Digest> {
    let digest = <[u8; 32]>::try_from(bytes);
    digest
        .map(Digest::from_bytes)
        .map_err(|_| PyValueError::new_err(format!("a digest is 32 bytes, not {}", bytes.len())))
}

pub fn check_expiry(record: &KeyRecord) -> PyResult<()> {
    if record.expires_at_s <= EXPIRES_AT_S_MAX {
        return Ok(());
    }
    let message = format!(
        "expires_at_s is at most {EXPIRES_AT_S_MAX}, not {}",
        record.expires_at_s
    );
    Err(PyValueError::new_err(message))
}

pub fn unpack(packed: &[u8; PACKED_BYTES]) -> PyResult<(Digest, KeyRecord)> {
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| packed[at + byte]));
    let record = KeyRecord {
        key_id: number(32),
        account_id: number(40),
        expires_at_s: number(48),
        scopes: u16::from_le_bytes([packed[56], packed[57]]),
        tier: packed[58],
    };
    check_expiry(&record)?;
    Ok((
        Digest::from_bytes(std::array::from_fn(|byte| packed[byte])),
        record,
    ))
}

pub fn table_full(full: TableFull) -> PyErr {
    PyMemoryError::new_err(format!(
        "the hot segment holds {} live keys and no more: raise segment.keys_max and start again",
        full.keys_max
    ))
}
