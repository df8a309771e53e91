//! The native module: parses arguments, leaves Python, calls, maps errors; decides nothing.

mod body;
mod errors;
mod forwarder;
mod grammar;
mod keys;
mod money;
mod relay;
mod segment;
mod standings;
mod waiting;

#[global_allocator]
static ALLOCATOR: tokenmill_io::scratch::Allocator = tokenmill_io::scratch::Allocator;

#[pyo3::pymodule]
mod _native {
    use pyo3::prelude::*;
    use pyo3::types::PyTuple;
    use tokenmill_core::counters::{ENGINE_NAMES, NAMES};

    #[pymodule_export]
    use crate::body::lift_texts;
    #[pymodule_export]
    use crate::forwarder::{AnswerKind, ForwardLimits, Forwarder, RoutingPolicy, UsageShape};
    #[pymodule_export]
    use crate::grammar::{
        CompiledSchema, GrammarOptions, SchemaRefusal, check_schema, choice_text, client_grammar,
        compile_schema, explain_schema, is_costly_pattern, lark_text, prepare_grammars,
        rename_rules, sample_grammar,
    };
    #[pymodule_export]
    use crate::keys::{KeyEntry, KeyRefusal};
    #[pymodule_export]
    use crate::money::{AccountView, Payer, RefusalKind, Refused, Tariff, limit_headers};
    #[pymodule_export]
    use crate::relay::{End, EndReason, Head, Lack, Relay, Usage, Whole};
    #[pymodule_export]
    use crate::segment::Segment;
    #[pymodule_export]
    use crate::standings::{EngineHealth, WorkerState};

    /// Where a body stops to be UTF-8.
    #[pyfunction]
    fn not_utf8_at(body: &[u8]) -> Option<usize> {
        tokenmill_core::body::not_utf8_at(body)
    }

    /// Whether a string of a JSON text holds NUL.
    #[pyfunction]
    fn holds_nul(body: &[u8]) -> bool {
        tokenmill_core::body::holds_nul(body)
    }

    /// Version of the native module; equals the version of the Python package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("CELL_BYTES", crate::money::CELL_BYTES)?;
        module.add("CELL_FORMAT", crate::money::CELL_FORMAT)?;
        module.add("COUNTERS", PyTuple::new(module.py(), NAMES)?)?;
        module.add("ENGINE_COUNTERS", PyTuple::new(module.py(), ENGINE_NAMES)?)?;
        module.add("HISTOGRAMS", ("first_byte_ms", "duration_ms", "wait_ms"))?;
        let other_layout = module.py().get_type::<crate::errors::OtherLayout>();
        module.add("OtherLayout", other_layout)
    }
}
