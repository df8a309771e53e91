//! A complete JSON answer: metered, and given the model name that the client knows.

use super::chunk::Chunk;
use super::meter::{Meter, Usage};
use super::scan::ScanError;
use super::splice::Splice;

/// What a complete answer holds.
#[derive(Debug, PartialEq, Eq)]
pub struct WholeAnswer {
    /// The body with the model renamed; `None` when it stays as it came.
    pub rewritten: Option<Vec<u8>>,
    /// What the engine counted.
    pub usage: Usage,
    /// A choice ended because the engine gave up.
    pub is_aborted: bool,
    /// It is an error, whatever its status says.
    pub is_error: bool,
}

/// Reads a complete answer; `model` is a JSON string literal, or `None` to leave the name.
///
/// Cost: one pass, and one copy when the name changes.
///
/// # Errors
/// [`ScanError`] when the body is not one JSON object in UTF-8.
pub fn read_whole(body: &[u8], model: Option<&[u8]>) -> Result<WholeAnswer, ScanError> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(ScanError::Malformed {
            at: error.valid_up_to(),
        });
    }
    let mut chunk = Chunk::default();
    chunk.read(body)?;
    let mut meter = Meter::default();
    if let Some(counts) = &chunk.counts {
        meter.take(counts, &chunk.choices);
    }
    let rewritten = model.filter(|_| !chunk.models.is_empty()).map(|model| {
        let mut splice = Splice::default();
        splice.rename_model(&chunk);
        let mut out = Vec::with_capacity(body.len() + model.len());
        splice.write(body, model, |piece| out.extend_from_slice(piece));
        out
    });
    Ok(WholeAnswer {
        rewritten,
        usage: meter.usage(),
        is_error: chunk.error.is_some(),
        is_aborted: chunk
            .choices
            .iter()
            .any(|choice| choice.finish.is_some_and(|finish| finish.is_abort)),
    })
}
