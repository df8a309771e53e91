//! JSON Schema to grammar: what the text accepts validates against the schema, or the schema is
//! refused by name.
//!
//! Stages, each with its own types: [`document`] (JSON) → [`index`] (references) → [`lowering`]
//! (schema expressions to typed normal forms) → [`emission`] (forms to rules) → text in
//! xgrammar's dialect of EBNF. Pure and deterministic: the same schema gives the same bytes.

mod alphabet;
mod applicators;
mod array_rules;
mod array_shapes;
pub mod automaton;
mod bounded_runs;
mod branch_orders;
pub mod charset;
pub mod checks;
mod choices;
pub mod client_grammar;
mod combination;
mod containers;
mod counted_strings;
mod covering;
pub mod decimal;
pub mod digits;
pub mod document;
pub mod draft;
pub mod ebnf;
pub mod emission;
pub mod escapes;
mod expressions;
pub mod form;
pub mod formats;
mod hash;
mod horizons;
pub mod index;
mod item_kinds;
mod json_reader;
mod keywords;
pub mod lark;
pub mod limits;
pub mod lowering;
mod merging;
mod minimisation;
pub mod nondeterministic;
mod number_reader;
mod number_rules;
pub mod numbers;
mod object_kinds;
mod object_plan;
mod object_rules;
mod object_shapes;
mod offer_plan;
mod offered_states;
mod open_ends;
mod open_strings;
mod partition;
pub mod pattern;
pub mod pattern_cost;
pub mod pattern_search;
mod pattern_sets;
#[cfg(test)]
mod recogniser;
mod reduction;
pub mod refusal;
pub mod rule_text;
pub mod rules;
pub mod sample;
mod state_rules;
mod string_rules;
mod subset_construction;
mod text_automata;
mod text_classes;
mod text_lists;
pub mod text_tokens;
pub mod texts;
mod union_orders;
mod unique_items;
pub mod uri;
mod values;
mod word_tries;
pub mod work;

use std::sync::Once;

use document::Document;
use emission::Emission;
use index::Index;
use limits::Options;
use lowering::Lowering;
use refusal::{Refusal, RefusalKind, Result};

/// A grammar and what is worth knowing about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The grammar; its start rule is `root`.
    pub text: String,
    /// Words of the schema that assert nothing: JSON pointer and word.
    pub annotations: Vec<(String, String)>,
}

/// A stage of the compiler whose result can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The parsed text and where its references lead.
    References,
    /// The typed normal form of the root.
    Form,
    /// The grammar.
    Text,
}

impl Stage {
    /// The stage with a name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "references" => Some(Self::References),
            "form" => Some(Self::Form),
            "text" => Some(Self::Text),
            _ => None,
        }
    }
}

/// Whether what all compilations share was made.
static PREPARED: Once = Once::new();

/// Makes what all compilations of a process share, which they make themselves when they first need
/// it: ten milliseconds once. For callers whose memory for [`compile`] ends with the call.
pub fn prepare() {
    PREPARED.call_once(|| {
        formats::prepare();
        escapes::prepare();
    });
}

/// Whether [`prepare`] has nothing left to do.
pub fn is_prepared() -> bool {
    PREPARED.is_completed()
}

/// The grammar of a schema.
///
/// Cost: bounded by `options`; a common schema takes less than a millisecond.
///
/// # Errors
/// A [`Refusal`] with the place and the reason.
pub fn compile(schema: &[u8], options: &Options) -> Result<Compiled> {
    let document = Document::parse(schema, options)?;
    let index = Index::of(&document);
    let mut lowering = Lowering::new(&document, &index, options);
    let root = lowering.schema(0, 0)?;
    let mut emission = Emission::new(&mut lowering);
    let rule = emission.schema(root)?;
    let text = emission.rules.written(rule, options.text_bytes_max)?;
    let Some(text) = text else {
        return Err(Refusal::new(
            RefusalKind::Unsatisfiable,
            "",
            "no document satisfies it",
        ));
    };
    Ok(Compiled {
        text,
        annotations: lowering.annotations,
    })
}

/// What one stage makes of a schema, for people; its layout is no contract.
///
/// # Errors
/// As [`compile`].
pub fn explain(schema: &[u8], options: &Options, stage: Stage) -> Result<String> {
    let document = Document::parse(schema, options)?;
    let index = Index::of(&document);
    match stage {
        Stage::References => Ok(format!("{index:#?}")),
        Stage::Form => {
            let mut lowering = Lowering::new(&document, &index, options);
            let root = lowering.schema(0, 0)?;
            let form = lowering.form(root)?;
            Ok(format!("{form:#?}"))
        }
        Stage::Text => compile(schema, options).map(|compiled| compiled.text),
    }
}
