//! The forwarder as Python sees it.

use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use tokenmill_core::calls::CallShape;
use tokenmill_core::routing::Policy;
use tokenmill_core::sse::{self, StreamShape};
use tokenmill_io::forward::{self, Limits, Order, Outbound, Started};

use crate::errors::Failure;
use crate::money::{Payer, Refused};
use crate::relay::Relay;
use crate::segment::Segment;
use crate::waiting::Waiters;

/// What the relay makes of the engine's answer.
#[pyclass(eq, eq_int, hash, frozen, from_py_object, module = "tokenmill._native")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerKind {
    #[pyo3(name = "STREAM")]
    Stream,
    #[pyo3(name = "WHOLE")]
    Whole,
    #[pyo3(name = "PLAIN")]
    Plain,
}

impl From<AnswerKind> for forward::AnswerKind {
    fn from(kind: AnswerKind) -> Self {
        match kind {
            AnswerKind::Stream => Self::Stream,
            AnswerKind::Whole => Self::Whole,
            AnswerKind::Plain => Self::Plain,
        }
    }
}

/// Which usage the client of a stream asked for.
#[pyclass(eq, eq_int, hash, frozen, from_py_object, module = "tokenmill._native")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum UsageShape {
    #[pyo3(name = "NONE")]
    None,
    #[pyo3(name = "FINAL")]
    Final,
    #[pyo3(name = "CONTINUOUS")]
    Continuous,
}

impl From<UsageShape> for sse::UsageShape {
    fn from(shape: UsageShape) -> Self {
        match shape {
            UsageShape::None => Self::None,
            UsageShape::Final => Self::Final,
            UsageShape::Continuous => Self::Continuous,
        }
    }
}

/// How an engine of a pool is chosen.
#[pyclass(eq, eq_int, hash, frozen, from_py_object, module = "tokenmill._native")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoutingPolicy {
    #[pyo3(name = "POWER_OF_TWO")]
    PowerOfTwo,
    #[pyo3(name = "PREFIX")]
    Prefix,
    #[pyo3(name = "SESSION")]
    Session,
}

impl From<RoutingPolicy> for Policy {
    fn from(policy: RoutingPolicy) -> Self {
        match policy {
            RoutingPolicy::PowerOfTwo => Self::PowerOfTwo,
            RoutingPolicy::Prefix => Self::Prefix,
            RoutingPolicy::Session => Self::Session,
        }
    }
}

/// Bounds of one forwarder.
#[pyclass(frozen, module = "tokenmill._native")]
pub struct ForwardLimits(Limits);

#[pymethods]
impl ForwardLimits {
    #[new]
    #[pyo3(signature = (
        *, connect_ms, first_byte_ms, stall_ms, comment_ms, reader_stall_ms,
        buffer_bytes_max, event_bytes_max, answer_bytes_max, idle_connections_max,
        waiting_max = 256, wait_ms = 5_000, hedge = false
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword-only: one settings value of Python's"
    )]
    fn new(
        connect_ms: u64,
        first_byte_ms: u64,
        stall_ms: u64,
        comment_ms: u64,
        reader_stall_ms: u64,
        buffer_bytes_max: usize,
        event_bytes_max: usize,
        answer_bytes_max: usize,
        idle_connections_max: usize,
        waiting_max: usize,
        wait_ms: u64,
        hedge: bool,
    ) -> PyResult<Self> {
        let times = [
            connect_ms,
            first_byte_ms,
            stall_ms,
            comment_ms,
            reader_stall_ms,
            wait_ms,
        ];
        let sizes = [
            buffer_bytes_max,
            event_bytes_max,
            answer_bytes_max,
            idle_connections_max,
        ];
        if times.contains(&0) || sizes.contains(&0) {
            return Err(PyValueError::new_err("every limit must be positive"));
        }
        Ok(Self(Limits {
            connect: Duration::from_millis(connect_ms),
            first_byte: Duration::from_millis(first_byte_ms),
            stall: Duration::from_millis(stall_ms),
            comment: Duration::from_millis(comment_ms),
            reader_stall: Duration::from_millis(reader_stall_ms),
            buffer_bytes_max,
            event_bytes_max,
            answer_bytes_max,
            idle_connections_max,
            waiting_max,
            wait: Duration::from_millis(wait_ms),
            hedge,
        }))
    }
}

/// What became of an order.
#[derive(IntoPyObject)]
pub enum Start {
    Relay(Relay),
    Refused(Refused),
}

/// A worker's native I/O thread and its connections to engines.
#[pyclass(frozen, module = "tokenmill._native")]
pub struct Forwarder {
    inner: forward::Forwarder,
    waiters: Arc<Waiters>,
    /// Kept from call to call, so that a wake-up allocates nothing.
    ready: Mutex<Vec<u64>>,
}

#[pymethods]
impl Forwarder {
    #[new]
    fn new(segment: &Segment, worker: usize, limits: &ForwardLimits) -> PyResult<Self> {
        if worker >= segment.inner.layout().sizes().workers_max {
            return Err(PyValueError::new_err("the segment has no such worker slot"));
        }
        let inner = forward::Forwarder::new(Arc::clone(&segment.inner), worker, limits.0)
            .map_err(Failure::Descriptor)?;
        Ok(Self {
            inner,
            waiters: Arc::default(),
            ready: Mutex::default(),
        })
    }

    #[pyo3(signature = (engines, pools, policies = vec![], *, places = vec![]))]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "pyo3 hands over what it made"
    )]
    fn set_fleet(
        &self,
        engines: Vec<(usize, String, Option<String>)>,
        pools: Vec<Vec<usize>>,
        policies: Vec<RoutingPolicy>,
        places: Vec<u64>,
    ) -> PyResult<()> {
        let policies = policies.into_iter().map(Policy::from);
        let rest = std::iter::repeat(Policy::PowerOfTwo);
        let pools: Vec<(Policy, Vec<usize>)> = policies.chain(rest).zip(pools).collect();
        Ok(self
            .inner
            .set_fleet(&engines, &pools, &places)
            .map_err(Failure::Fleet)?)
    }

    fn wake_fd(&self) -> i32 {
        self.inner.descriptor().as_raw_fd()
    }

    fn dispatch(&self, py: Python<'_>) -> PyResult<()> {
        let mut ready = std::mem::take(&mut *self.lock_ready());
        self.inner.take_ready(&mut ready);
        let mut outcome = Ok(());
        for relay in ready.drain(..) {
            if let Some(sleeper) = self.waiters.remove(relay) {
                // One that cannot be woken must not keep the others waiting.
                outcome = sleeper.wake(py).and(outcome);
            }
        }
        *self.lock_ready() = ready;
        outcome
    }

    #[pyo3(signature = (
        pool, target, body, *, kind, request_id, usage = UsageShape::None, model = None,
        calls = None, payer = None, account_id = None, session = None, trace = None,
        is_loadable = false
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "the contract: all but three are keyword-only"
    )]
    fn start(
        &self,
        pool: usize,
        target: &str,
        body: PyBackedBytes,
        kind: AnswerKind,
        request_id: &str,
        usage: UsageShape,
        model: Option<String>,
        calls: Option<(Vec<String>, u32)>,
        payer: Option<&Payer>,
        account_id: Option<u64>,
        session: Option<String>,
        trace: Option<(String, Option<String>)>,
        is_loadable: bool,
    ) -> PyResult<Start> {
        let is_streamed = kind == AnswerKind::Stream;
        let kind = kind.into();
        let outbound = Outbound::json(target, shared(body), kind, request_id, trace)
            .map_err(Failure::Start)?;
        let shape = StreamShape {
            usage: usage.into(),
            model,
            calls: calls.map(|(names, calls_max)| CallShape {
                names,
                calls_max,
                seed: request_id.to_owned(),
            }),
            price: payer.map(Payer::price),
        };
        self.begin(Order {
            pool,
            outbound,
            kind,
            shape,
            admission: payer.map(|payer| payer.admission(request_id, is_streamed)),
            account_id,
            is_loadable,
            session,
        })
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "pyo3 hands over what it made"
    )]
    fn start_plain(
        &self,
        pool: usize,
        method: &str,
        target: &str,
        headers: Vec<(Bound<'_, PyBytes>, Bound<'_, PyBytes>)>,
        body: &[u8],
    ) -> PyResult<Start> {
        let headers: Vec<(&[u8], &[u8])> = headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let outbound = Outbound::plain(method, target, &headers, body).map_err(Failure::Start)?;
        self.begin(Order {
            pool,
            outbound,
            kind: forward::AnswerKind::Plain,
            shape: StreamShape::default(),
            admission: None,
            account_id: None,
            is_loadable: false,
            session: None,
        })
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.inner.close());
    }
}

impl Forwarder {
    fn begin(&self, order: Order) -> PyResult<Start> {
        Ok(match self.inner.start(order).map_err(Failure::Start)? {
            Started::Relay(relay) => Start::Relay(Relay::new(relay, Arc::clone(&self.waiters))),
            Started::Refused(refusal) => Start::Refused(refusal.into()),
            Started::Full { retry_after_ms } => Start::Refused(Refused::overloaded(retry_after_ms)),
        })
    }

    fn lock_ready(&self) -> MutexGuard<'_, Vec<u64>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Longer bodies are sent out of Python's memory: it is given back with the request.
const COPIED_BYTES_MAX: usize = 64 * 1024;

fn shared(body: PyBackedBytes) -> Bytes {
    if body.len() <= COPIED_BYTES_MAX {
        Bytes::copy_from_slice(&body)
    } else {
        Bytes::from_owner(body)
    }
}
