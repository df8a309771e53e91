//! A client's JSON body before it is decoded.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokenmill_core::lift::{self, Text};

/// Where a text that was lifted stands, or how it is spelled.
#[derive(IntoPyObject)]
pub enum LiftedText<'py> {
    Found((usize, usize)),
    Spelled(Bound<'py, PyBytes>),
}

/// The long texts of a body and what is left of it.
#[pyfunction]
pub fn lift_texts<'py>(
    py: Python<'py>,
    body: &[u8],
    bytes_min: usize,
) -> Option<(Bound<'py, PyBytes>, Vec<LiftedText<'py>>)> {
    let lifted = py.detach(|| lift::lift(body, bytes_min))?;
    let texts = lifted.texts.into_iter().map(|text| match text {
        Text::Found(span) => LiftedText::Found((span.start, span.end)),
        Text::Spelled(text) => LiftedText::Spelled(PyBytes::new(py, &text)),
    });
    Some((PyBytes::new(py, &lifted.rest), texts.collect()))
}
