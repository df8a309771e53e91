//! The one place where what went wrong in Rust becomes a Python exception.

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::{PyErr, Python};
use tokenmill_io::forward::{FleetError, StartError};

/// Everything that a call on the forwarder may fail with.
pub enum Failure {
    Start(StartError),
    Fleet(FleetError),
    Descriptor(std::io::Error),
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Fleet(error) => PyValueError::new_err(error.to_string()),
            Failure::Descriptor(error) => PyOSError::new_err(error),
            Failure::Start(error) => match error {
                StartError::Forked | StartError::Closed => {
                    PyRuntimeError::new_err(error.to_string())
                }
                StartError::Target | StartError::Request => {
                    PyValueError::new_err(error.to_string())
                }
                StartError::Thread(cause) => with_cause("the I/O thread did not start", cause),
            },
        }
    }
}

fn with_cause(message: &'static str, cause: std::io::Error) -> PyErr {
    let raised = PyRuntimeError::new_err(message);
    Python::attach(|py| raised.set_cause(py, Some(PyOSError::new_err(cause))));
    raised
}
