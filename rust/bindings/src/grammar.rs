//! The grammar compiler as Python sees it: bytes in, a grammar or a refusal out.

use pyo3::prelude::*;
use pyo3::types::PyString;
use tokenmill_core::grammar;
use tokenmill_core::grammar::checks::{Bounds, check};
use tokenmill_core::grammar::client_grammar::written_anew;
use tokenmill_core::grammar::ebnf::Grammar;
use tokenmill_core::grammar::lark::lark;
use tokenmill_core::grammar::limits::{Options, Whitespace};
use tokenmill_core::grammar::pattern_cost::is_costly;
use tokenmill_core::grammar::refusal::Refusal;
use tokenmill_core::grammar::rule_text::choice;
use tokenmill_core::grammar::sample::Sampler;
use tokenmill_core::grammar::text_tokens::renamed;
use tokenmill_core::grammar::{Stage, compile, explain};
use tokenmill_io::scratch::scoped;

/// What a caller may choose; every bound has a refusal that names it.
#[pyclass(frozen, from_py_object, module = "tokenmill._native")]
#[derive(Clone)]
pub struct GrammarOptions {
    inner: Options,
}

#[pymethods]
impl GrammarOptions {
    #[new]
    #[pyo3(signature = (
        *, compact=false, closed_objects=false, deterministic=false, schema_bytes_max=None,
        alternatives_max=None, states_max=None, steps_max=None, rules_max=None,
        text_bytes_max=None
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword-only: one value of options"
    )]
    fn new(
        compact: bool,
        closed_objects: bool,
        deterministic: bool,
        schema_bytes_max: Option<usize>,
        alternatives_max: Option<usize>,
        states_max: Option<usize>,
        steps_max: Option<usize>,
        rules_max: Option<usize>,
        text_bytes_max: Option<usize>,
    ) -> Self {
        let defaults = Options::default();
        let whitespace = if compact {
            Whitespace::Compact
        } else {
            Whitespace::Single
        };
        Self {
            inner: Options {
                whitespace,
                closed_objects,
                deterministic,
                schema_bytes_max: schema_bytes_max.unwrap_or(defaults.schema_bytes_max),
                alternatives_max: alternatives_max.unwrap_or(defaults.alternatives_max),
                states_max: states_max.unwrap_or(defaults.states_max),
                steps_max: steps_max.unwrap_or(defaults.steps_max),
                rules_max: rules_max.unwrap_or(defaults.rules_max),
                text_bytes_max: text_bytes_max.unwrap_or(defaults.text_bytes_max),
                ..defaults
            },
        }
    }
}

/// A grammar.
#[pyclass(frozen, get_all, module = "tokenmill._native")]
pub struct CompiledSchema {
    text: Py<PyString>,
    annotations: Vec<(String, String)>,
}

impl CompiledSchema {
    fn new(py: Python<'_>, compiled: &grammar::Compiled) -> Self {
        Self {
            text: PyString::new(py, &compiled.text).unbind(),
            annotations: compiled.annotations.clone(),
        }
    }
}

/// Why a schema has no grammar.
#[pyclass(frozen, get_all, module = "tokenmill._native")]
pub struct SchemaRefusal {
    kind: &'static str,
    pointer: String,
    keyword: String,
    reason: String,
    hint: String,
}

#[pymethods]
impl SchemaRefusal {
    fn __str__(&self) -> String {
        let hint = if self.hint.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.hint)
        };
        format!(
            "{} schema at '#{}': {}{hint}",
            self.kind, self.pointer, self.reason
        )
    }
}

impl From<Refusal> for SchemaRefusal {
    fn from(refusal: Refusal) -> Self {
        Self {
            kind: refusal.kind.word(),
            pointer: refusal.pointer,
            keyword: refusal.keyword,
            reason: refusal.reason,
            hint: refusal.hint,
        }
    }
}

#[derive(IntoPyObject)]
pub enum Verdict {
    Compiled(CompiledSchema),
    Explained(String),
    Refused(SchemaRefusal),
}

/// Makes what all compilations share; leaves Python.
#[pyfunction]
pub fn prepare_grammars(py: Python<'_>) {
    py.detach(grammar::prepare);
}

/// The grammar of a schema; leaves Python while it compiles.
#[pyfunction]
pub fn compile_schema(py: Python<'_>, schema: &[u8], options: &GrammarOptions) -> Verdict {
    if !grammar::is_prepared() {
        py.detach(grammar::prepare);
    }
    // The text is copied once: from scratch memory to Python's.
    scoped(
        || py.detach(|| compile(schema, &options.inner)),
        |made| match made {
            Ok(compiled) => Verdict::Compiled(CompiledSchema::new(py, compiled)),
            Err(refusal) => Verdict::Refused(refusal.clone().into()),
        },
    )
}

/// What one stage of the compiler makes of a schema; for people.
#[pyfunction]
pub fn explain_schema(
    py: Python<'_>,
    schema: &[u8],
    options: &GrammarOptions,
    stage: &str,
) -> PyResult<Verdict> {
    let stage = Stage::named(stage)
        .ok_or_else(|| pyo3::exceptions::PyValueError::new_err("no such stage"))?;
    Ok(match py.detach(|| explain(schema, &options.inner, stage)) {
        Ok(text) => Verdict::Explained(text),
        Err(refusal) => Verdict::Refused(refusal.into()),
    })
}

/// What is too much in a schema, if anything; leaves Python.
#[pyfunction]
pub fn check_schema(
    py: Python<'_>,
    schema: &[u8],
    bounds: (usize, usize, usize, usize, usize),
) -> Option<SchemaRefusal> {
    let bounds = Bounds {
        schema_bytes_max: bounds.0,
        schema_depth_max: bounds.1,
        schema_nodes_max: bounds.2,
        enum_values_max: bounds.3,
        regex_bytes_max: bounds.4,
    };
    py.detach(|| check(schema, &bounds))
        .err()
        .map(SchemaRefusal::from)
}

/// Whether a pattern's repetitions are more than may be built.
#[pyfunction]
pub fn is_costly_pattern(pattern: &str) -> bool {
    is_costly(pattern)
}

/// A grammar with every rule under a name of its own.
#[pyfunction]
pub fn rename_rules(py: Python<'_>, text: &str, prefix: &str) -> String {
    py.detach(|| renamed(text, prefix))
}

/// A client's grammar as an engine gets it, or why it gets none.
#[pyfunction]
pub fn client_grammar(py: Python<'_>, text: &str) -> Verdict {
    match py.detach(|| written_anew(text)) {
        Ok(text) => Verdict::Explained(text),
        Err(refusal) => Verdict::Refused(refusal.into()),
    }
}

/// A grammar as Lark.
#[pyfunction]
pub fn lark_text(py: Python<'_>, text: &str) -> String {
    py.detach(|| lark(text))
}

/// The grammar of one of a few texts.
#[pyfunction]
pub fn choice_text(choices: Vec<String>) -> String {
    choice(choices)
}

/// Random texts of a grammar; leaves Python.
#[pyfunction]
pub fn sample_grammar(
    py: Python<'_>,
    text: &str,
    seed: u64,
    count: usize,
    steps_max: usize,
) -> PyResult<Vec<String>> {
    py.detach(|| {
        let grammar = Grammar::parse(text, usize::MAX)?;
        let Some(mut sampler) = Sampler::new(grammar, seed) else {
            return Ok(Vec::new());
        };
        Ok((0..count).map(|_| sampler.draw(steps_max)).collect())
    })
    .map_err(|fault: Refusal| pyo3::exceptions::PyValueError::new_err(fault.reason))
}
