//! Bounds of a schema that comes from outside, in one linear pass before anything is made of it.
//!
//! Size, depth and huge enums are how compilers of grammars are made to hang or crash
//! (CVE-2025-58446, CVE-2026-25048 and their kin), and engines of other makes get the schema as it
//! is. Whether a grammar can say it is another question.

use super::document::{Document, Member, Node, NodeId};
use super::limits::Options;
use super::pattern_cost::is_costly;
use super::refusal::{Refusal, RefusalKind, Result};

/// What a schema may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of its text.
    pub schema_bytes_max: usize,
    /// Schemas inside schemas.
    pub schema_depth_max: usize,
    /// Objects and arrays.
    pub schema_nodes_max: usize,
    /// Constants of one `enum`.
    pub enum_values_max: usize,
    /// Bytes of one pattern.
    pub regex_bytes_max: usize,
}

/// `properties` and the property itself.
const JSON_LEVELS_PER_SCHEMA_LEVEL: usize = 2;
/// Levels of JSON that are read, whatever the bound: the reader recurs.
const JSON_LEVELS_MAX: usize = 500;

/// Whether the JSON schema is within bounds.
///
/// Cost: O(schema).
///
/// # Errors
/// Invalid, with a reason that says what the text is or does; or too large, with a sentence.
pub fn check(schema: &[u8], bounds: &Bounds) -> Result<()> {
    if schema.len() > bounds.schema_bytes_max {
        return Err(large(format!(
            "it is larger than {} bytes",
            bounds.schema_bytes_max
        )));
    }
    if std::str::from_utf8(schema).is_err() {
        return Err(Refusal::invalid("", "is not UTF-8 text"));
    }
    let options = Options {
        schema_bytes_max: bounds.schema_bytes_max,
        depth_max: (levels(bounds) + 1).min(JSON_LEVELS_MAX),
        ..Options::default()
    };
    let document = Document::parse(schema, &options).map_err(|fault| match fault.kind {
        RefusalKind::TooLarge => deep(bounds),
        _ => Refusal::invalid("", format!("is {}", fault.reason)),
    })?;
    let oddities = document.oddities();
    if let Some(key) = &oddities.repeated_key {
        let key: String = key.chars().take(64).collect();
        return Err(Refusal::invalid(
            "",
            format!("names the key '{key}' twice in one object"),
        ));
    }
    if oddities.has_huge_number {
        return Err(Refusal::invalid("", "holds a number that is out of range"));
    }
    if !matches!(document.node(0), Node::Object(_)) {
        return Err(Refusal::invalid("", "must be an object: a JSON schema"));
    }
    walk(&document, bounds)?;
    if oddities.has_wide_integer {
        return Err(large("it uses an integer of more than 64 bits".to_owned()));
    }
    Ok(())
}

fn levels(bounds: &Bounds) -> usize {
    bounds
        .schema_depth_max
        .saturating_mul(JSON_LEVELS_PER_SCHEMA_LEVEL)
}

/// Counts containers and levels, and looks at the keywords that are costly to compile.
fn walk(document: &Document, bounds: &Bounds) -> Result<()> {
    let mut count = 0;
    let mut open: Vec<(NodeId, usize)> = vec![(0, 1)];
    while let Some((id, depth)) = open.pop() {
        let push = |child: NodeId, open: &mut Vec<(NodeId, usize)>| {
            if matches!(document.node(child), Node::Object(_) | Node::Array(_)) {
                open.push((child, depth + 1));
            }
        };
        match document.node(id) {
            Node::Object(members) => {
                keywords(document, members, bounds)?;
                for member in members {
                    push(member.1, &mut open);
                }
            }
            Node::Array(items) => {
                for &item in items {
                    push(item, &mut open);
                }
            }
            _ => {}
        }
        count += 1;
        if depth > levels(bounds) {
            return Err(deep(bounds));
        }
        if count > bounds.schema_nodes_max {
            let most = bounds.schema_nodes_max;
            return Err(large(format!("it is made of more than {most} parts")));
        }
    }
    Ok(())
}

fn keywords(document: &Document, members: &[Member<'_>], bounds: &Bounds) -> Result<()> {
    for (name, value) in members {
        match (&**name, document.node(*value)) {
            ("enum", Node::Array(values)) if values.len() > bounds.enum_values_max => {
                let most = bounds.enum_values_max;
                return Err(large(format!("it uses an enum of more than {most} values")));
            }
            ("pattern", Node::String(pattern)) => one_pattern(pattern, bounds)?,
            ("patternProperties", Node::Object(patterns)) => {
                patterns
                    .iter()
                    .try_for_each(|each| one_pattern(&each.0, bounds))?;
            }
            ("$ref", Node::String(target)) if !target.starts_with('#') => {
                let why = "it uses a `$ref` that leads out of the schema";
                return Err(large(why.to_owned()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn one_pattern(pattern: &str, bounds: &Bounds) -> Result<()> {
    if pattern.len() > bounds.regex_bytes_max {
        let most = bounds.regex_bytes_max;
        return Err(large(format!(
            "it uses a pattern of more than {most} bytes"
        )));
    }
    if is_costly(pattern) {
        return Err(large(
            "it uses a pattern with too many repetitions".to_owned(),
        ));
    }
    Ok(())
}

fn deep(bounds: &Bounds) -> Refusal {
    let most = bounds.schema_depth_max;
    large(format!("it is nested more than {most} levels deep"))
}

fn large(why: String) -> Refusal {
    Refusal::new(RefusalKind::TooLarge, "", why)
}
