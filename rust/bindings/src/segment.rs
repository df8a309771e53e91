//! The hot segment as Python sees it.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use tokenmill_core::counters::{Counter, Histogram};
use tokenmill_core::keys::KeyRecord;
use tokenmill_core::segment::Sizes;
use tokenmill_core::wallet::{CONTROL, Record, Terms};
use tokenmill_io::segment::{self, SegmentError};

use crate::errors;
use crate::keys::{
    KeyEntry, KeyRefusal, PACKED_BYTES, check_expiry, parse_digest, table_full, unpack,
};
use crate::money::{self, AccountView, Refused};
use crate::standings::{EngineHealth, WorkerState};

#[derive(IntoPyObject)]
enum Found {
    Entry(KeyEntry),
    Refusal(KeyRefusal),
}

#[derive(IntoPyObject)]
enum Credited {
    Ticket(u64),
    Refused(Refused),
}

/// The hot segment: one file-backed shared mapping, atomics only.
#[pyclass(frozen, module = "tokenmill._native")]
pub struct Segment {
    pub(crate) inner: Arc<segment::Segment>,
}

#[pymethods]
impl Segment {
    #[staticmethod]
    #[pyo3(signature = (
        path, *, keys_max, workers_max, engines_max, accounts_max = 1_024, cells_max = 1_024,
        in_use = false
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword-only: the sizes of Python's settings"
    )]
    fn create(
        py: Python<'_>,
        path: PathBuf,
        keys_max: usize,
        workers_max: usize,
        engines_max: usize,
        accounts_max: usize,
        cells_max: usize,
        in_use: bool,
    ) -> PyResult<Self> {
        let sizes = Sizes {
            keys_max,
            workers_max,
            engines_max,
            accounts_max,
            cells_max,
        };
        let make = if in_use {
            segment::Segment::take_over
        } else {
            segment::Segment::create
        };
        Self::wrap(py.detach(move || make(&path, sizes)))
    }

    #[staticmethod]
    fn attach(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Self::wrap(py.detach(move || segment::Segment::attach(&path)))
    }

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

    #[getter]
    fn fleet_generation(&self) -> u64 {
        self.inner.fleet_generation()
    }

    #[getter]
    fn prices_generation(&self) -> u64 {
        self.inner.prices_generation()
    }

    fn publish_prices(&self) {
        self.inner.publish_prices();
    }

    fn publish_fleet(&self, generation: u64) {
        self.inner.publish_fleet(generation);
    }

    #[getter]
    fn workers_max(&self) -> usize {
        self.inner.layout().sizes().workers_max
    }

    #[getter]
    fn engines_max(&self) -> usize {
        self.inner.layout().sizes().engines_max
    }

    fn worker_state(&self, worker: usize) -> PyResult<WorkerState> {
        Ok(self.inner.worker_state(self.checked_worker(worker)?).into())
    }

    fn set_worker_state(&self, worker: usize, state: WorkerState) -> PyResult<()> {
        self.inner
            .set_worker_state(self.checked_worker(worker)?, state.into());
        Ok(())
    }

    fn beat(&self, worker: usize) -> PyResult<()> {
        self.inner.beat(self.checked_worker(worker)?);
        Ok(())
    }

    fn heartbeat_ms(&self, worker: usize) -> PyResult<u64> {
        Ok(self.inner.heartbeat_ms(self.checked_worker(worker)?))
    }

    fn beat_control(&self) {
        self.inner.beat_control();
    }

    #[getter]
    fn control_heartbeat_ms(&self) -> u64 {
        self.inner.control_heartbeat_ms()
    }

    fn set_drain(&self, worker: usize, deadline_ms: u64) -> PyResult<()> {
        self.inner
            .set_drain(self.checked_worker(worker)?, deadline_ms);
        Ok(())
    }

    fn drain_deadline_ms(&self, worker: usize) -> PyResult<u64> {
        Ok(self.inner.drain_deadline_ms(self.checked_worker(worker)?))
    }

    fn engine_in_flight(&self, engine: usize) -> PyResult<u64> {
        let engine = self.checked_engine(engine)?;
        Ok(self.inner.engine_in_flight(engine))
    }

    fn begin_engine(&self, engine: usize, has_returned: bool) -> PyResult<()> {
        self.inner
            .begin_engine(self.checked_engine(engine)?, has_returned);
        Ok(())
    }

    #[pyo3(signature = (engine, *, running, waiting, cache_permille))]
    fn note_engine_metrics(
        &self,
        engine: usize,
        running: u64,
        waiting: u64,
        cache_permille: u64,
    ) -> PyResult<()> {
        let engine = self.checked_engine(engine)?;
        self.inner
            .note_engine_metrics(engine, running, waiting, cache_permille);
        Ok(())
    }

    fn engine_health(&self, engine: usize) -> PyResult<EngineHealth> {
        Ok(self
            .inner
            .engine_health(self.checked_engine(engine)?)
            .into())
    }

    fn note_engine_others(&self, engine: usize, requests: u64) -> PyResult<()> {
        let engine = self.checked_engine(engine)?;
        self.inner.note_engine_others(engine, requests);
        Ok(())
    }

    fn engine_totals(&self, engine: usize) -> PyResult<Vec<u64>> {
        Ok(self.inner.engine_totals(self.checked_engine(engine)?))
    }

    fn clear_engine_totals(&self, engine: usize) -> PyResult<()> {
        self.inner.clear_engine_totals(self.checked_engine(engine)?);
        Ok(())
    }

    fn worker_in_flight(&self, worker: usize) -> PyResult<u64> {
        Ok(self.inner.worker_in_flight(self.checked_worker(worker)?))
    }

    fn worker_waiting(&self, worker: usize) -> PyResult<u64> {
        Ok(self.inner.worker_waiting(self.checked_worker(worker)?))
    }

    fn waiting(&self) -> u64 {
        self.inner.waiting()
    }

    #[pyo3(signature = (worker, counter, amount = 1))]
    fn count(&self, worker: usize, counter: usize, amount: u64) -> PyResult<()> {
        let counter = Counter::from_index(checked("counter", counter, Counter::COUNT)?);
        let worker = self.checked_worker(worker)?;
        if let Some(counter) = counter {
            self.inner.count(worker, counter, amount);
        }
        Ok(())
    }

    fn observe(&self, worker: usize, histogram: usize, value_ms: u64) -> PyResult<()> {
        let index = checked("histogram", histogram, Histogram::ALL.len())?;
        self.inner.observe(
            self.checked_worker(worker)?,
            Histogram::ALL[index],
            value_ms,
        );
        Ok(())
    }

    fn totals(&self) -> Vec<u64> {
        self.inner.totals()
    }

    #[getter]
    fn incarnation(&self) -> u64 {
        self.inner.incarnation()
    }

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

impl Segment {
    fn wrap(made: Result<segment::Segment, SegmentError>) -> PyResult<Self> {
        let segment = made.map_err(errors::segment_error)?;
        Ok(Self {
            inner: Arc::new(segment),
        })
    }

    fn checked_engine(&self, engine: usize) -> PyResult<usize> {
        let bound = self.inner.layout().sizes().engines_max;
        checked("engine slot", engine, bound)
    }

    fn checked_worker(&self, worker: usize) -> PyResult<usize> {
        checked(
            "worker slot",
            worker,
            self.inner.layout().sizes().workers_max,
        )
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

fn checked(what: &str, index: usize, bound: usize) -> PyResult<usize> {
    if index < bound {
        return Ok(index);
    }
    Err(PyIndexError::new_err(format!(
        "{what} {index}: there are {bound}"
    )))
}
