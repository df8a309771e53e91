//! How a task waits for a relay: as for a future of asyncio's, but nothing is made for it, and it
//! goes on in the turn in which the bell is heard.
//!
//! A future has the loop call its task in the next turn, for it may be resolved from within another
//! task. The bell's callback runs where no task does, so there is nothing to wait for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// A task that waits: what calls it, and the context it wants to be called in.
pub struct Sleeper {
    callback: Py<PyAny>,
    context: Option<Py<PyAny>>,
}

impl Sleeper {
    pub fn new(callback: Py<PyAny>, context: Option<Py<PyAny>>) -> Self {
        Self { callback, context }
    }

    /// Goes on with it now. Only where no task runs.
    pub fn wake(&self, py: Python<'_>) -> PyResult<()> {
        let woken = Waking::woken(py)?;
        match &self.context {
            Some(context) => {
                context.call_method1(py, intern!(py, "run"), (&self.callback, woken))?
            }
            None => self.callback.call1(py, (woken,))?,
        };
        Ok(())
    }

    /// Has the loop go on with it.
    pub fn wake_soon(self, py: Python<'_>, waking: &Py<Waking>) -> PyResult<()> {
        let options = PyDict::new(py);
        options.set_item(intern!(py, "context"), self.context)?;
        let arguments = (self.callback, waking);
        running_loop(py)?.call_method(intern!(py, "call_soon"), arguments, Some(&options))?;
        Ok(())
    }
}

/// The tasks that wait, by relay. Touched with the GIL held alone.
#[derive(Default)]
pub struct Waiters(Mutex<HashMap<u64, Sleeper>>);

impl Waiters {
    pub fn add(&self, relay: u64, sleeper: Sleeper) {
        let before = self.lock().insert(relay, sleeper);
        // After the lock is gone: dropping a Python object may run Python code.
        drop(before);
    }

    pub fn remove(&self, relay: u64) -> Option<Sleeper> {
        self.lock().remove(&relay)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Sleeper>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a task is called with: it asks for the result.
#[pyclass(frozen, module = "tokenmill._native")]
pub struct Waking {
    is_cancelled: bool,
}

impl Waking {
    /// For a task whose relay has an event, or which is to look.
    pub fn woken(py: Python<'_>) -> PyResult<&Py<Self>> {
        static WOKEN: PyOnceLock<Py<Waking>> = PyOnceLock::new();
        WOKEN.get_or_try_init(py, || Self::of(py, false))
    }

    /// For a task that is cancelled.
    pub fn cancelled(py: Python<'_>) -> PyResult<&Py<Self>> {
        static CANCELLED: PyOnceLock<Py<Waking>> = PyOnceLock::new();
        CANCELLED.get_or_try_init(py, || Self::of(py, true))
    }

    fn of(py: Python<'_>, is_cancelled: bool) -> PyResult<Py<Self>> {
        Py::new(py, Self { is_cancelled })
    }
}

#[pymethods]
impl Waking {
    fn result(&self) -> PyResult<()> {
        if self.is_cancelled {
            return Err(CancelledError::new_err(()));
        }
        Ok(())
    }
}

/// The running event loop.
pub fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    RUNNING.import(py, "asyncio", "get_running_loop")?.call0()
}
