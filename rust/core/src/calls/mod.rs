//! Tool calls out of generated text: `<tool_call>` JSON as Hermes and Qwen write it, bare JSON as
//! Llama 3 does, `[TOOL_CALLS]` as Mistral does.
//!
//! [`CallReader`] reads one answer's text as it comes, [`CallRewriter`] writes an engine's answer
//! objects anew with what was read. However the same text is cut, the same text and calls come out.

mod object;
mod reader;
mod rewriter;

pub use reader::{CallReader, Told};
pub use rewriter::{CallRewriter, CallShape, rewrite_whole};
