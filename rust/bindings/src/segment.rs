//! The hot segment as Python sees it.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::{PyIndexError, PyMemoryError, PyOSError, PyValueError};
use pyo3::prelude::*;
use tokenmill_core::counters::{Counter, Histogram};
use tokenmill_core::keys::{self, Digest, EXPIRES_AT_S_MAX, KeyRecord, TableFull};
use tokenmill_core::segment::{AttachError, LAYOUT_VERSION, SizeError, Sizes};
use tokenmill_io::segment::{self, SegmentError};

/// Bytes of a record of `put_keys`: digest 32, key id 8, account id 8, expiry 8, scopes 2, tier 1,
/// and 5 unused; little-endian.
const PACKED_BYTES: usize = 64;

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
    key_id: u64,
    account_id: u64,
    tier: u8,
    scopes: u16,
}

/// Where a worker stands.
#[pyclass(eq, eq_int, hash, frozen, from_py_object, module = "tokenmill._native")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkerState {
    #[pyo3(name = "FREE")]
    Free,
    #[pyo3(name = "STARTING")]
    Starting,
    #[pyo3(name = "SERVING")]
    Serving,
    #[pyo3(name = "DRAINING")]
    Draining,
}

impl From<segment::WorkerState> for WorkerState {
    fn from(state: segment::WorkerState) -> Self {
        match state {
            segment::WorkerState::Free => Self::Free,
            segment::WorkerState::Starting => Self::Starting,
            segment::WorkerState::Serving => Self::Serving,
            segment::WorkerState::Draining => Self::Draining,
        }
    }
}

impl From<WorkerState> for segment::WorkerState {
    fn from(state: WorkerState) -> Self {
        match state {
            WorkerState::Free => Self::Free,
            WorkerState::Starting => Self::Starting,
            WorkerState::Serving => Self::Serving,
            WorkerState::Draining => Self::Draining,
        }
    }
}

#[derive(IntoPyObject)]
enum Found {
    Entry(KeyEntry),
    Refusal(KeyRefusal),
}

/// The hot segment: one file-backed shared mapping, atomics only.
#[pyclass(frozen, module = "tokenmill._native")]
pub struct Segment {
    pub(crate) inner: Arc<segment::Segment>,
}

#[pymethods]
impl Segment {
    #[staticmethod]
    #[pyo3(signature = (path, *, keys_max, workers_max, engines_max))]
    fn create(
        py: Python<'_>,
        path: PathBuf,
        keys_max: usize,
        workers_max: usize,
        engines_max: usize,
    ) -> PyResult<Self> {
        let sizes = Sizes {
            keys_max,
            workers_max,
            engines_max,
        };
        Self::wrap(py.detach(move || segment::Segment::create(&path, sizes)))
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
        let bound = self.inner.layout().sizes().engines_max;
        Ok(self
            .inner
            .engine_in_flight(checked("engine slot", engine, bound)?))
    }

    fn worker_in_flight(&self, worker: usize) -> PyResult<u64> {
        Ok(self.inner.worker_in_flight(self.checked_worker(worker)?))
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
}

impl Segment {
    fn wrap(made: Result<segment::Segment, SegmentError>) -> PyResult<Self> {
        let segment = made.map_err(segment_error)?;
        Ok(Self {
            inner: Arc::new(segment),
        })
    }

    fn checked_worker(&self, worker: usize) -> PyResult<usize> {
        checked(
            "worker slot",
            worker,
            self.inner.layout().sizes().workers_max,
        )
    }
}

fn checked(what: &str, index: usize, bound: usize) -> PyResult<usize> {
    if index < bound {
        return Ok(index);
    }
    Err(PyIndexError::new_err(format!(
        "{what} {index}: there are {bound}"
    )))
}

fn parse_digest(bytes: &[u8]) -> PyResult<Digest> {
    let digest = <[u8; 32]>::try_from(bytes);
    digest
        .map(Digest::from_bytes)
        .map_err(|_| PyValueError::new_err(format!("a digest is 32 bytes, not {}", bytes.len())))
}

fn check_expiry(record: &KeyRecord) -> PyResult<()> {
    if record.expires_at_s <= EXPIRES_AT_S_MAX {
        return Ok(());
    }
    let message = format!(
        "expires_at_s is at most {EXPIRES_AT_S_MAX}, not {}",
        record.expires_at_s
    );
    Err(PyValueError::new_err(message))
}

fn unpack(packed: &[u8; PACKED_BYTES]) -> PyResult<(Digest, KeyRecord)> {
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

fn table_full(full: TableFull) -> PyErr {
    PyMemoryError::new_err(format!(
        "the hot segment holds {} live keys and no more: raise segment.keys_max and start again",
        full.keys_max
    ))
}

fn segment_error(error: SegmentError) -> PyErr {
    match error {
        SegmentError::Io {
            error,
            needed_bytes: 0,
        } => error.into(),
        SegmentError::Io {
            error,
            needed_bytes,
        } => {
            let reason = format!("the hot segment needs {needed_bytes} bytes on disk: {error}");
            match error.raw_os_error() {
                Some(number) => PyOSError::new_err((number, reason)),
                None => PyOSError::new_err(reason),
            }
        }
        SegmentError::Size(SizeError { name, value, bound }) => {
            PyValueError::new_err(format!("{name} is 1 to {bound}, not {value}"))
        }
        SegmentError::Attach(error) => PyValueError::new_err(attach_message(error)),
    }
}

fn attach_message(error: AttachError) -> String {
    match error {
        AttachError::TooShort { found_bytes } => {
            format!("not a hot segment: {found_bytes} bytes are truncated before the header's end")
        }
        AttachError::OtherMagic => "not a hot segment: the magic word is missing".to_owned(),
        AttachError::DamagedHeader => "the hot segment's header is damaged".to_owned(),
        AttachError::OtherLayout { found } => format!(
            "the hot segment has another layout version: {found} (this tokenmill has \
             {LAYOUT_VERSION}, or another list of counters)"
        ),
        AttachError::OtherBoot => {
            "the hot segment has another boot id: it is of before the machine was restarted"
                .to_owned()
        }
        AttachError::BadSizes(SizeError { name, value, bound }) => {
            format!("the hot segment's {name} is {value}; it is 1 to {bound}")
        }
        AttachError::OtherLength {
            expected_bytes,
            found_bytes,
        } => format!(
            "the hot segment is truncated or grown: {found_bytes} bytes where its header says \
             {expected_bytes}"
        ),
    }
}
