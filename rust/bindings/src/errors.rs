//! The one place where what went wrong in Rust becomes a Python exception.

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::{PyErr, Python, create_exception};
use tokenmill_core::segment::{AttachError, LAYOUT_VERSION, SizeError};
use tokenmill_io::forward::{FleetError, StartError};
use tokenmill_io::segment::SegmentError;

create_exception!(
    tokenmill._native,
    OtherLayout,
    PyValueError,
    "A hot segment of this boot that a tokenmill of another version made."
);

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

/// Why there is no segment.
pub fn segment_error(error: SegmentError) -> PyErr {
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
        SegmentError::Attach(error) => match error {
            AttachError::OtherLayout { .. } => OtherLayout::new_err(attach_message(error)),
            _ => PyValueError::new_err(attach_message(error)),
        },
        SegmentError::OtherSizes => PyValueError::new_err("the hot segment has other sizes"),
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
