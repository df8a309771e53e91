//! A relay and its events as Python sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use tokenmill_core::usage;
use tokenmill_io::forward::{self, Item};

use crate::money::Refused;
use crate::waiting::{Sleeper, Waiters, Waking, running_loop};

/// How a relay ended.
#[pyclass(eq, eq_int, hash, frozen, module = "tokenmill._native")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    #[pyo3(name = "COMPLETE")]
    Complete,
    #[pyo3(name = "NO_ENGINE")]
    NoEngine,
    #[pyo3(name = "REFUSED")]
    Refused,
    #[pyo3(name = "CONNECT_TIMEOUT")]
    ConnectTimeout,
    #[pyo3(name = "FIRST_BYTE_TIMEOUT")]
    FirstByteTimeout,
    #[pyo3(name = "STALLED")]
    Stalled,
    #[pyo3(name = "CLOSED")]
    Closed,
    #[pyo3(name = "ABORTED")]
    Aborted,
    #[pyo3(name = "ERROR_EVENT")]
    ErrorEvent,
    #[pyo3(name = "MALFORMED")]
    Malformed,
    #[pyo3(name = "TOO_LARGE")]
    TooLarge,
    #[pyo3(name = "READER_STALLED")]
    ReaderStalled,
    #[pyo3(name = "DRAINED")]
    Drained,
    #[pyo3(name = "CANCELLED")]
    Cancelled,
    #[pyo3(name = "OVERLOADED")]
    Overloaded,
}

impl From<forward::EndReason> for EndReason {
    fn from(reason: forward::EndReason) -> Self {
        use forward::EndReason as Native;
        match reason {
            Native::Complete => Self::Complete,
            Native::NoEngine => Self::NoEngine,
            Native::Refused => Self::Refused,
            Native::ConnectTimeout => Self::ConnectTimeout,
            Native::FirstByteTimeout => Self::FirstByteTimeout,
            Native::Stalled => Self::Stalled,
            Native::Closed => Self::Closed,
            Native::Aborted => Self::Aborted,
            Native::ErrorEvent => Self::ErrorEvent,
            Native::Malformed => Self::Malformed,
            Native::TooLarge => Self::TooLarge,
            Native::ReaderStalled => Self::ReaderStalled,
            Native::Drained => Self::Drained,
            Native::Cancelled => Self::Cancelled,
            Native::Overloaded => Self::Overloaded,
        }
    }
}

/// The answer began.
#[pyclass(frozen, get_all, module = "tokenmill._native")]
pub struct Head {
    status: u16,
    headers: Py<PyList>,
    first_byte_ns: u64,
}

/// A complete answer.
#[pyclass(frozen, get_all, module = "tokenmill._native")]
pub struct Whole {
    status: u16,
    body: Py<PyBytes>,
    first_byte_ns: u64,
}

/// An adapter has to be loaded first.
#[pyclass(frozen, get_all, module = "tokenmill._native")]
pub struct Lack {
    engine: i32,
}

/// Tokens as the engine counts them.
#[pyclass(frozen, get_all, module = "tokenmill._native")]
pub struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    cached_tokens: u64,
    seen: bool,
}

impl From<usage::Usage> for Usage {
    fn from(usage: usage::Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cached_tokens: usage.cached_tokens,
            seen: usage.seen,
        }
    }
}

/// The last event of a relay.
#[pyclass(frozen, get_all, module = "tokenmill._native")]
pub struct End {
    reason: EndReason,
    detail: String,
    sent_tokens: bool,
    retry_after_ms: u64,
}

/// One request on its way. Dropping it closes the upstream.
#[pyclass(frozen, module = "tokenmill._native")]
pub struct Relay {
    inner: forward::Relay,
    waiters: Arc<Waiters>,
    /// A task was told to wait, and has not gone on.
    has_waited: AtomicBool,
    /// What a task that is told to wait looks for, and clears.
    is_blocking: AtomicBool,
}

impl Relay {
    pub fn new(inner: forward::Relay, waiters: Arc<Waiters>) -> Self {
        Self {
            inner,
            waiters,
            has_waited: AtomicBool::new(false),
            is_blocking: AtomicBool::new(false),
        }
    }
}

#[pymethods]
impl Relay {
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.inner
            .take()
            .map(|item| to_python(py, item))
            .transpose()
    }

    // What follows is how asyncio's tasks wait for what is no future of its own.

    fn __await__(relay: PyRef<'_, Self>) -> PyRef<'_, Self> {
        relay
    }

    fn __iter__(relay: PyRef<'_, Self>) -> PyRef<'_, Self> {
        relay
    }

    fn __next__(relay: PyRef<'_, Self>) -> Option<PyRef<'_, Self>> {
        if relay.has_waited.swap(false, Ordering::Relaxed) || relay.inner.is_ready() {
            return None;
        }
        relay.has_waited.store(true, Ordering::Relaxed);
        relay.is_blocking.store(true, Ordering::Relaxed);
        Some(relay)
    }

    #[getter(_asyncio_future_blocking)]
    fn is_blocking(&self) -> bool {
        self.is_blocking.load(Ordering::Relaxed)
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, is_blocking: bool) {
        self.is_blocking.store(is_blocking, Ordering::Relaxed);
    }

    #[expect(clippy::unused_self, reason = "asyncio calls it on what is awaited")]
    fn get_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        running_loop(py)
    }

    #[pyo3(signature = (callback, *, context = None))]
    fn add_done_callback(
        &self,
        py: Python<'_>,
        callback: Py<PyAny>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        self.waiters
            .add(self.inner.id(), Sleeper::new(callback, context));
        if self.inner.arm() {
            return self.wake(py);
        }
        Ok(())
    }

    #[pyo3(signature = (msg = None))]
    fn cancel(&self, py: Python<'_>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        drop(msg);
        let Some(sleeper) = self.waiters.remove(self.inner.id()) else {
            return Ok(false);
        };
        self.has_waited.store(false, Ordering::Relaxed);
        sleeper.wake_soon(py, Waking::cancelled(py)?)?;
        Ok(true)
    }

    fn wake(&self, py: Python<'_>) -> PyResult<()> {
        match self.waiters.remove(self.inner.id()) {
            Some(sleeper) => sleeper.wake_soon(py, Waking::woken(py)?),
            None => Ok(()),
        }
    }

    fn close(&self) {
        self.inner.close();
        self.waiters.remove(self.inner.id());
    }

    fn go_on(&self, pool: usize) {
        self.inner.go_on(pool);
    }

    fn give_up(&self) {
        self.inner.give_up();
    }

    fn usage(&self) -> Usage {
        self.inner.usage().into()
    }

    #[getter]
    fn cost_nanos(&self) -> i64 {
        self.inner.cost_nanos()
    }

    #[getter]
    fn overlooked(&self) -> Option<Refused> {
        self.inner.overlooked().map(Into::into)
    }

    #[getter]
    fn engine(&self) -> i32 {
        self.inner.engine()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.waiters.remove(self.inner.id());
    }
}

fn to_python(py: Python<'_>, item: Item) -> PyResult<Bound<'_, PyAny>> {
    match item {
        Item::Frames(frames) => Ok(PyBytes::new(py, &frames).into_any()),
        Item::Head(head) => {
            let headers = PyList::empty(py);
            for (name, value) in &head.headers {
                let name = PyBytes::new(py, name.as_str().as_bytes());
                let value = PyBytes::new(py, value.as_bytes());
                headers.append(PyTuple::new(py, [name, value])?)?;
            }
            let head = Head {
                status: head.status,
                headers: headers.unbind(),
                first_byte_ns: head.first_byte_ns,
            };
            Ok(Bound::new(py, head)?.into_any())
        }
        Item::Whole(whole) => {
            let whole = Whole {
                status: whole.status,
                body: PyBytes::new(py, &whole.body).unbind(),
                first_byte_ns: whole.first_byte_ns,
            };
            Ok(Bound::new(py, whole)?.into_any())
        }
        Item::Lack(lack) => {
            let engine = lack.engine;
            Ok(Bound::new(py, Lack { engine })?.into_any())
        }
        Item::End(end) => {
            let end = End {
                reason: end.reason.into(),
                detail: end.detail,
                sent_tokens: end.sent_tokens,
                retry_after_ms: end.retry_after_ms,
            };
            Ok(Bound::new(py, end)?.into_any())
        }
    }
}
