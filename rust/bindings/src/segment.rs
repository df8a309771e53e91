//! The hot segment as Python sees it.

mod engines;
mod keys;
mod wallet;

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use tokenmill_core::counters::{Counter, Histogram};
use tokenmill_core::segment::Sizes;
use tokenmill_io::segment::{self, SegmentError};

use crate::errors;
use crate::standings::WorkerState;

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

    #[getter]
    fn prices_generation(&self) -> u64 {
        self.inner.prices_generation()
    }

    fn publish_prices(&self) {
        self.inner.publish_prices();
    }

    #[getter]
    fn workers_max(&self) -> usize {
        self.inner.layout().sizes().workers_max
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

fn checked(what: &str, index: usize, bound: usize) -> PyResult<usize> {
    if index < bound {
        return Ok(index);
    }
    Err(PyIndexError::new_err(format!(
        "{what} {index}: there are {bound}"
    )))
}
