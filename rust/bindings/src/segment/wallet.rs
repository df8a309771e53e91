//! Accounts, what they may spend, and the cells that hold it, in the hot segment.

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use tokenmill_core::wallet::{CONTROL, Record, Terms};

use super::Segment;
use crate::money::{self, AccountView, Refused};

#[derive(IntoPyObject)]
enum Credited {
    Ticket(u64),
    Refused(Refused),
}

#[pymethods]
impl Segment {
    #[getter]
    fn accounts_max(&self) -> usize {
        self.inner.layout().sizes().accounts_max
    }

    #[getter]
    fn cells_max(&self) -> usize {
        self.inner.layout().sizes().cells_max
    }

    #[getter]
    fn accounts_ready(&self) -> bool {
        self.inner.accounts_ready()
    }

    fn set_accounts_ready(&self) {
        self.inner.set_accounts_ready();
    }

    #[pyo3(signature = (
        account_id, *, requests_per_min, tokens_per_min, concurrency_max, weight, opening_nanos,
        enabled = true
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword-only: one account of Python's"
    )]
    fn put_account(
        &self,
        account_id: u64,
        requests_per_min: u32,
        tokens_per_min: u32,
        concurrency_max: u32,
        weight: u16,
        opening_nanos: i64,
        enabled: bool,
    ) -> PyResult<bool> {
        let terms = Terms {
            requests_per_min,
            tokens_per_min,
            concurrency_max,
            weight,
            is_enabled: enabled,
        };
        let opening = money::check_nanos(opening_nanos)?;
        self.inner
            .put_account(account_id, &terms, opening)
            .map_err(money::no_room)
    }

    fn put_accounts(&self, py: Python<'_>, packed: &[u8]) -> PyResult<usize> {
        let accounts = money::unpack_accounts(packed)?;
        py.detach(|| {
            for (account_id, terms, opening) in &accounts {
                self.inner
                    .put_account(*account_id, terms, *opening)
                    .map_err(money::no_room)?;
            }
            Ok(accounts.len())
        })
    }

    fn reset_balance(&self, account_id: u64, nanos: i64) -> PyResult<bool> {
        let nanos = money::check_nanos(nanos)?;
        Ok(self.inner.reset_balance(account_id, nanos))
    }

    fn account(&self, account_id: u64) -> Option<AccountView> {
        self.inner.account(account_id).map(Into::into)
    }

    fn audit(&self, py: Python<'_>, account_id: u64) -> Option<(i64, i64, i64)> {
        py.detach(|| self.inner.audit(account_id))
            .map(|audit| (audit.available, audit.held, audit.unposted))
    }

    #[pyo3(signature = (account_id, nanos, *, reference, wall_ms))]
    fn credit(
        &self,
        account_id: u64,
        nanos: i64,
        reference: u64,
        wall_ms: u64,
    ) -> PyResult<Credited> {
        let nanos = money::check_nanos(nanos)?;
        Ok(
            match self.inner.credit(account_id, nanos, reference, wall_ms) {
                Ok(ticket) => Credited::Ticket(ticket),
                Err(refusal) => Credited::Refused(refusal.into()),
            },
        )
    }

    fn open_credits(&self, py: Python<'_>) -> Vec<u64> {
        py.detach(|| self.inner.open_credits())
    }

    fn settled_cells<'py>(&self, py: Python<'py>, max: usize) -> Bound<'py, PyBytes> {
        packed_bytes(py, || self.inner.settled(max))
    }

    fn held_cells<'py>(&self, py: Python<'py>, max: usize) -> Bound<'py, PyBytes> {
        packed_bytes(py, || self.inner.held(max))
    }

    fn free_cells(&self, packed: &[u8]) -> PyResult<usize> {
        let tickets = money::tickets(packed)?;
        let is_freed = |ticket: &&u64| self.inner.free_cell(**ticket);
        Ok(tickets.iter().filter(is_freed).count())
    }

    fn open_cells(&self, py: Python<'_>) -> usize {
        py.detach(|| self.inner.open_cells())
    }

    fn rescue(&self, py: Python<'_>, worker: usize) -> PyResult<usize> {
        let worker = self.checked_worker(worker)?;
        let owner = u16::try_from(worker).map_err(|_| PyIndexError::new_err("worker slot"))?;
        Ok(py.detach(|| self.inner.rescue(owner)))
    }

    fn rescue_control(&self, py: Python<'_>) -> usize {
        py.detach(|| self.inner.rescue(CONTROL))
    }

    fn take_request(&self, account_id: u64) -> Option<Refused> {
        self.inner.take_request(account_id).err().map(Into::into)
    }

    fn limit_headers<'py>(
        &self,
        py: Python<'py>,
        account_id: u64,
        wall_s: u64,
    ) -> PyResult<Bound<'py, PyList>> {
        money::view_headers(py, self.inner.account(account_id).as_ref(), wall_s)
    }
}

fn packed_bytes(py: Python<'_>, find: impl FnOnce() -> Vec<Record> + Send) -> Bound<'_, PyBytes> {
    let packed = py.detach(|| {
        let mut packed = Vec::new();
        for record in find() {
            money::pack_record(&record, &mut packed);
        }
        packed
    });
    PyBytes::new(py, &packed)
}
