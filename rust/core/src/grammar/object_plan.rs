//! The names of an object: which are declared and in what order, how open ones fall into kinds.

use std::rc::Rc;

use super::emission::Emission;
use super::form::{ANY, ExprId, NOTHING, ObjectShape};
use super::hash::Map;
use super::partition::Side;
use super::refusal::{Refusal, Result};
use super::texts::{self, TextsId};

/// Names that only other branches declare; of more than these none keeps a place of its own.
const FOREIGN_MAX: usize = 12;
/// Names of all branches together up to which that is worth its rules.
const ALIGNED_MAX: usize = 48;
/// The same of a whole grammar.
const FOREIGN_TOTAL: usize = 500;
/// Runs of optional names up to this are skipped in one rule; longer ones step by step.
const SKIPPED_MAX: usize = 10;
/// The same where the names are written in a second order.
const SKIPPED_AGAIN_MAX: usize = 2;
/// Names of a whole grammar that are written in a second order too.
const REORDERED_TOTAL: usize = 500;
/// Work that it is to find the place of a name in an order.
const STEPS_OF_A_NAME: usize = 4;
/// Existence demands that are told apart.
const DEMANDS_MAX: usize = 16;
/// Kinds of open names.
const KINDS_MAX: usize = 24;

/// A declared name that may be written.
#[derive(Clone)]
pub(super) struct Member {
    pub name: Rc<str>,
    pub value: ExprId,
    pub required: bool,
}

/// Open names that are treated alike.
#[derive(Clone)]
pub(super) struct Kind {
    pub names: TextsId,
    pub value: ExprId,
}

/// What there is to write.
#[derive(Clone)]
pub(super) struct Plan {
    pub members: Vec<Member>,
    pub kinds: Vec<Kind>,
    pub exists: Vec<(TextsId, ExprId)>,
    pub min: u32,
    pub max: Option<u32>,
    /// Longest run of optional names that one rule skips.
    pub skipped_max: usize,
}

impl Plan {
    /// The names of one shape.
    ///
    /// # Errors
    /// More than can be told apart, or a bound.
    pub fn of(emission: &mut Emission, shape: &ObjectShape) -> Result<Self> {
        let foreign = if emission.foreign_names < FOREIGN_TOTAL {
            FOREIGN_MAX
        } else {
            0
        };
        let names = ordered_names(shape, foreign);
        let mut members = Vec::with_capacity(names.len());
        for (name, named) in &names {
            let value = named.value.unwrap_or_else(|| {
                emission.foreign_names += 1;
                ruled(emission, shape, name)
            });
            if value != NOTHING {
                members.push(Member {
                    name: Rc::clone(name),
                    value,
                    required: named.required,
                });
            }
        }
        let names = names.into_iter().map(|(name, _)| name).collect();
        if shape.exists.len() > DEMANDS_MAX {
            return Err(Refusal::too_large("existence_demands_max", DEMANDS_MAX));
        }
        let mut plan = Self {
            members,
            kinds: kinds(emission, shape, names)?,
            exists: shape.exists.clone(),
            min: shape.min,
            max: shape.max,
            skipped_max: SKIPPED_MAX,
        };
        plan.spread_kinds(emission)?;
        Ok(plan)
    }

    /// The same, with names in the order of the union that the shape is a branch of; none where
    /// that is the same order, or there are many such names already.
    pub fn in_union_order(&self, emission: &mut Emission, shape: &ObjectShape) -> Option<Self> {
        if shape.union_order.is_empty() || emission.lowering.options.deterministic {
            return None;
        }
        let names = emission.reordered_names + self.members.len();
        if names > REORDERED_TOTAL || self.members.len() < 2 {
            return None;
        }
        let work = &emission.lowering.work;
        work.count(STEPS_OF_A_NAME * shape.union_order.len());
        let places: Map<&str, usize> = (shape.union_order.iter().map(|name| &**name))
            .zip(0..)
            .collect();
        let place = |member: &Member| places.get(&*member.name).copied().unwrap_or(usize::MAX);
        if self.members.is_sorted_by_key(place) {
            return None;
        }
        emission.reordered_names = names;
        let mut other = self.clone();
        other.members.sort_by_key(place);
        other.skipped_max = SKIPPED_AGAIN_MAX;
        Some(other)
    }

    /// Splits open names until enough of them surely differ for `minProperties`.
    fn spread_kinds(&mut self, emission: &mut Emission) -> Result<()> {
        let wanted = self.min as usize;
        let have = self.members.len() + self.kinds.len();
        if have >= wanted || self.kinds.is_empty() {
            return Ok(());
        }
        let missing = wanted - have;
        if missing + self.kinds.len() > KINDS_MAX {
            return Err(Refusal::unsupported(
                "minProperties",
                "so many open names cannot be told apart",
            )
            .hint("declare the properties, or ask for fewer"));
        }
        let whole = self.kinds.remove(0);
        for names in emission.parts_of(whole.names, missing + 1, Side::First)? {
            self.kinds.push(Kind {
                names,
                value: whole.value,
            });
        }
        Ok(())
    }
}

/// What the rules of patterns make of a property that is not declared.
fn ruled(emission: &mut Emission, shape: &ObjectShape, name: &str) -> ExprId {
    let lowering = &mut *emission.lowering;
    shape.rules.iter().fold(ANY, |value, &(names, expr)| {
        if lowering.texts.contains(names, name) {
            lowering.both(value, expr)
        } else {
            value
        }
    })
}

/// What a shape says of one name.
#[derive(Default)]
struct Named {
    /// None where it is only demanded or ruled, or declared by another branch.
    value: Option<ExprId>,
    required: bool,
}

/// Declared names in their order, then those that are only demanded or ruled. What is declared
/// beside this shape, by another branch of an `anyOf`, keeps its place in the order too.
fn ordered_names(shape: &ObjectShape, foreign: usize) -> Vec<(Rc<str>, Named)> {
    let declared = shape.properties.iter().map(|(name, value)| {
        let value = Some(*value);
        let required = false;
        (Rc::clone(name), Named { value, required })
    });
    let mut known: Map<Rc<str>, Named> = declared.collect();
    for name in &shape.required {
        known.entry(Rc::clone(name)).or_default().required = true;
    }
    if shape.order.len() <= (known.len() + foreign).min(ALIGNED_MAX) {
        for name in shape.order.iter() {
            known.entry(Rc::clone(name)).or_default();
        }
    }
    let all = shape
        .order
        .iter()
        .chain(shape.properties.iter().map(|one| &one.0))
        .chain(&shape.required);
    let mut names = Vec::with_capacity(known.len());
    for name in all {
        if known.is_empty() {
            break;
        }
        names.extend(known.remove_entry(name));
    }
    names
}

/// The open names, split wherever some rule treats them differently.
fn kinds(emission: &mut Emission, shape: &ObjectShape, names: Vec<Rc<str>>) -> Result<Vec<Kind>> {
    let lowering = &mut *emission.lowering;
    let open = lowering.texts.all_but(names);
    let mut kinds = vec![Kind {
        names: open,
        value: ANY,
    }];
    for (place, &(ruled, expr)) in shape.rules.iter().enumerate() {
        // Each kind is a product of all rules before.
        lowering.spend(kinds.len() * place)?;
        let mut split = Vec::with_capacity(kinds.len() * 2);
        let outside = lowering.texts.not(ruled);
        for kind in kinds {
            let value = lowering.both(kind.value, expr);
            let apart = lowering.texts.and(kind.names, outside);
            let inside = lowering.texts.and(kind.names, ruled);
            for (names, value) in [(inside, value), (apart, kind.value)] {
                if value != NOTHING && !lowering.texts.is_empty(names) {
                    split.push(Kind { names, value });
                }
            }
        }
        kinds = split;
        if kinds.len() > KINDS_MAX {
            return Err(Refusal::too_large("name_kinds_max", KINDS_MAX));
        }
    }
    kinds.retain(|kind| kind.names != texts::NONE);
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use crate::grammar::compile;
    use crate::grammar::limits::Options;
    use crate::grammar::recogniser::allows;

    const CLOSED: &str = r#""additionalProperties": false, "type": "object""#;

    fn union(keyword: &str) -> String {
        format!(
            r#"{{"{keyword}": [
                {{"properties": {{"id": {{"type": "integer"}}, "type": {{"const": "a"}}}},
                  "required": ["type"], {CLOSED}}},
                {{"properties": {{"body": {{"type": "string"}}, "type": {{"const": "b"}},
                                  "id": {{"type": "integer"}}}},
                  "required": ["type"], {CLOSED}}}
            ]}}"#
        )
    }

    #[test]
    fn a_branch_writes_its_names_in_its_own_order_and_in_that_of_the_union() {
        for keyword in ["anyOf", "oneOf"] {
            let schema = union(keyword);
            for text in [
                r#"{"id":1,"type":"a"}"#,
                r#"{"body":"x","type":"b","id":1}"#,
                r#"{"id":1,"type":"b","body":"x"}"#,
                r#"{"type":"b","body":"x"}"#,
            ] {
                assert!(allows(&schema, text), "{keyword} {text}");
            }
            for text in [
                r#"{"type":"a","id":1}"#,
                r#"{"type":"b","id":1,"body":"x"}"#,
                r#"{"id":1,"type":"a","body":"x"}"#,
                r#"{"id":1,"type":"b","body":"x","id":1}"#,
                r#"{"id":"1","type":"b","body":"x"}"#,
            ] {
                assert!(!allows(&schema, text), "{keyword} {text}");
            }
        }
    }

    #[test]
    fn rules_of_names_that_are_told_apart_count_as_work() {
        let patterns = |count: usize| {
            let one = |at| format!(r#""^a{at}": {{"const": {at}}}"#);
            let all: Vec<String> = (0..count).map(one).collect();
            format!(r#"{{"patternProperties": {{{}}}}}"#, all.join(","))
        };
        assert!(compile(patterns(9).as_bytes(), &Options::default()).is_ok());
        let refusal = compile(patterns(400).as_bytes(), &Options::default()).unwrap_err();
        assert!(refusal.reason.contains("alternatives_max"), "{refusal}");
    }

    #[test]
    fn an_order_holds_behind_conditions_and_references_too() {
        let schema = r##"{
            "$ref": "#/$defs/named",
            "if": {"properties": {"kind": {"const": "x"}}, "required": ["kind"]},
            "then": {"properties": {"z": {}, "kind": {}, "size": {"type": "integer"}}},
            "else": {"properties": {"size": {"type": "string"}, "kind": {}}},
            "$defs": {"named": {"properties": {"name": {}, "kind": {"type": "string"}}}}
        }"##;
        for (text, fits) in [
            (r#"{"name":1,"kind":"x","size":1}"#, true),
            (r#"{"name":1,"kind":"x","size":"1"}"#, false),
            (r#"{"name":1,"kind":"y","size":"1"}"#, true),
            (r#"{"name":1,"kind":"y","size":1}"#, false),
        ] {
            assert_eq!(allows(schema, text), fits, "{text}");
        }
    }
}
