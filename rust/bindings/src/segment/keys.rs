//! Keys in the hot segment.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tokenmill_core::keys::KeyRecord;

use super::Segment;
use crate::keys::{
    KeyEntry, KeyRefusal, PACKED_BYTES, check_expiry, parse_digest, table_full, unpack,
};

#[derive(IntoPyObject)]
enum Found {
    Entry(KeyEntry),
    Refusal(KeyRefusal),
}

#[pymethods]
impl Segment {
    fn find_key(&self, secret: &[u8], wall_s: u64) -> Found {
        match self.inner.find_key(secret, wall_s) {
            Ok(record) => Found::Entry(KeyEntry {
                key_id: record.key_id,
                account_id: record.account_id,
                tier: record.tier,
                scopes: record.scopes,
            }),
            Err(refusal) => Found::Refusal(refusal.into()),
        }
    }

    #[pyo3(signature = (digest, *, key_id, account_id, tier, scopes, expires_at_s))]
    fn put_key(
        &self,
        digest: &[u8],
        key_id: u64,
        account_id: u64,
        tier: u8,
        scopes: u16,
        expires_at_s: u64,
    ) -> PyResult<()> {
        let record = KeyRecord {
            key_id,
            account_id,
            tier,
            scopes,
            expires_at_s,
        };
        check_expiry(&record)?;
        self.inner
            .put_key(parse_digest(digest)?, &record)
            .map_err(table_full)
    }

    fn put_keys(&self, py: Python<'_>, packed: &[u8]) -> PyResult<usize> {
        let (records, rest) = packed.as_chunks::<PACKED_BYTES>();
        if !rest.is_empty() {
            let message = format!(
                "packed keys are {PACKED_BYTES} bytes each; {} are left over",
                rest.len()
            );
            return Err(PyValueError::new_err(message));
        }
        py.detach(|| {
            for packed in records {
                let (digest, record) = unpack(packed)?;
                self.inner.put_key(digest, &record).map_err(table_full)?;
            }
            Ok(records.len())
        })
    }

    fn revoke_key(&self, digest: &[u8]) -> PyResult<bool> {
        Ok(self.inner.revoke_key(parse_digest(digest)?))
    }

    fn begin_key_load(&self, py: Python<'_>) {
        py.detach(|| self.inner.begin_key_load());
    }

    fn end_key_load(&self, py: Python<'_>) -> usize {
        py.detach(|| self.inner.end_key_load())
    }

    fn key_count(&self) -> usize {
        self.inner.key_count()
    }

    #[getter]
    fn keys_ready(&self) -> bool {
        self.inner.keys_ready()
    }

    fn set_keys_ready(&self) {
        self.inner.set_keys_ready();
    }
}
