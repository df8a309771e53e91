//! How workers and engines stand, as Python sees it.

use pyo3::prelude::*;
use tokenmill_core::routing::Standing;
use tokenmill_core::routing::health::{Cause, WHOLE_PERMILLE};
use tokenmill_io::segment;

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

/// How an engine fares.
#[pyclass(frozen, get_all, module = "tokenmill._native")]
pub struct EngineHealth {
    /// `refusing`, `failing` or `slow` where it is left out or on trial, else empty.
    pub cause: &'static str,
    pub out_ms: u64,
    pub first_byte_us: u64,
    /// `well`, `warming`, `trial` or `out`.
    pub standing: &'static str,
}

impl From<segment::EngineHealth> for EngineHealth {
    fn from(health: segment::EngineHealth) -> Self {
        Self {
            cause: match health.cause {
                None => "",
                Some(Cause::Refusing) => "refusing",
                Some(Cause::Failing) => "failing",
                Some(Cause::Slow) => "slow",
            },
            out_ms: health.out_ms,
            first_byte_us: health.first_byte_us,
            standing: match health.standing {
                Standing::Well(WHOLE_PERMILLE) => "well",
                Standing::Well(_) => "warming",
                Standing::Trial => "trial",
                Standing::Out => "out",
            },
        }
    }
}
