//! One schema object as a form: its own assertions first, then what it applies in place.
//!
//! Every keyword is either read here or in [`super::applicators`], known to be an annotation, or
//! unknown to the draft, which by the specification makes it an annotation too.

use std::rc::Rc;

use super::decimal::Decimal;
use super::document::{Node, NodeId};
use super::draft::Draft;
use super::form::Form;
use super::formats;
use super::lowering::Lowering;
use super::numbers::{Cell, Numbers};
use super::pattern::PatternFault;
use super::pattern_search::SearchFault;
use super::refusal::{Refusal, Result};
use super::texts::{self, TextsId};

/// The six types and `integer`, as named by `type`.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one flag a JSON type is the plain truth"
)]
pub struct Types {
    /// `null`.
    pub null: bool,
    /// `boolean`.
    pub boolean: bool,
    /// `number`.
    pub number: bool,
    /// `integer`.
    pub integer: bool,
    /// `string`.
    pub string: bool,
    /// `array`.
    pub array: bool,
    /// `object`.
    pub object: bool,
}

impl Types {
    /// Leaves out of a form what is of other types.
    fn narrow(self, form: &mut Form) -> Result<()> {
        form.null = self.null;
        form.bools = if self.boolean { 3 } else { 0 };
        if !self.string {
            form.strings = texts::NONE;
        }
        if !self.array {
            form.arrays.clear();
        }
        if !self.object {
            form.objects.clear();
        }
        if !self.number {
            let whole = Cell {
                step: Some(Decimal::from_integer(1)),
                ..Cell::default()
            };
            let allowed = if self.integer {
                vec![whole]
            } else {
                Vec::new()
            };
            form.numbers = form.numbers.intersection(&Numbers(allowed))?;
            form.integers = self.integer;
        }
        Ok(())
    }
}

/// A schema object about to be read.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The object.
    pub node: NodeId,
    /// The scope within its resource.
    pub scope: u32,
    /// The draft by which it is read.
    pub draft: Draft,
}

impl Lowering<'_> {
    /// The form of the schema object at a node.
    pub(super) fn schema_form(&mut self, node: NodeId, scope: u32) -> Result<Form> {
        let draft = self.index.draft_of(self.document, node);
        let place = Place {
            node,
            scope: self.entered(node, scope),
            draft,
        };
        if draft.ref_hides_siblings() && self.document.get(node, "$ref").is_some() {
            return self.references(&place, Form::any());
        }
        let form = self.own_form(&place)?;
        let form = self.references(&place, form)?;
        let form = self.applied(&place, form)?;
        self.unevaluated(&place, form)
    }

    /// The types that a schema names; none where it names none.
    pub(super) fn types_of(&self, node: NodeId) -> Result<Option<Types>> {
        let Some(value) = self.document.get(node, "type") else {
            return Ok(None);
        };
        let one = [value];
        let names = match self.document.node(value) {
            Node::Array(items) => &**items,
            _ => one.as_slice(),
        };
        let mut types = Types::default();
        for &name in names {
            match self.document.string(name) {
                Some("null") => types.null = true,
                Some("boolean") => types.boolean = true,
                Some("number") => types.number = true,
                Some("integer") => types.integer = true,
                Some("string") => types.string = true,
                Some("array") => types.array = true,
                Some("object") => types.object = true,
                Some("any") => {
                    return Err(Refusal::invalid("type", "'any' is no type since draft 4")
                        .hint("leave `type` out to allow every type"));
                }
                _ => {
                    return Err(Refusal::invalid("type", "it names none of the seven types"));
                }
            }
        }
        Ok(Some(types))
    }

    /// What the keywords of this object alone say.
    fn own_form(&mut self, place: &Place) -> Result<Form> {
        let mut form = Form {
            null: true,
            bools: 3,
            numbers: self.own_numbers(place)?,
            integers: false,
            strings: self.own_strings(place)?,
            objects: self.own_object(place)?.into_iter().map(Rc::new).collect(),
            arrays: self.own_array(place)?.into_iter().map(Rc::new).collect(),
            exact: true,
        };
        if let Some(types) = self.types_of(place.node)? {
            types.narrow(&mut form)?;
        }
        let has = |keyword: &str| self.document.get(place.node, keyword).is_some();
        if has("enum") || (has("const") && place.draft > Draft::Draft4) {
            let constants = self.constants_of(place.node)?;
            let sure = !self.texts.is_partial(form.strings);
            let kept: Option<Vec<NodeId>> = constants
                .into_iter()
                .filter_map(|one| match self.form_contains(&form, one) {
                    Some(false) if sure => None,
                    Some(true) if sure => Some(Some(one)),
                    _ => Some(None),
                })
                .collect();
            let Some(kept) = kept else {
                let all = self.constants_of(place.node)?;
                let listed = self.values_form(&all);
                return self.intersection(&form, &listed);
            };
            form = self.values_form(&kept);
        }
        Ok(form)
    }

    fn own_numbers(&self, place: &Place) -> Result<Numbers> {
        let mut cell = Cell::default();
        let minimum = self.number(place, "minimum")?;
        let maximum = self.number(place, "maximum")?;
        let (mut low_open, mut high_open) = (false, false);
        if place.draft == Draft::Draft4 {
            low_open = self.flag(place, "exclusiveMinimum")?;
            high_open = self.flag(place, "exclusiveMaximum")?;
        } else {
            if let Some(low) = self.number(place, "exclusiveMinimum")? {
                cell.low = Some((low, false));
            }
            if let Some(high) = self.number(place, "exclusiveMaximum")? {
                cell.high = Some((high, false));
            }
        }
        let bounds = Cell {
            low: minimum.map(|low| (low, !low_open)),
            high: maximum.map(|high| (high, !high_open)),
            ..Cell::default()
        };
        if let Some(step) = self.number(place, "multipleOf")? {
            if step.is_negative() || step.is_zero() {
                return Err(Refusal::invalid("multipleOf", "it must be above zero"));
            }
            if step.scaled().is_none() {
                return Err(Refusal::unsupported(
                    "multipleOf",
                    "it has more than 18 digits",
                ));
            }
            cell.step = Some(step);
        }
        Ok(Numbers(vec![cell]).intersection(&Numbers(vec![bounds]))?)
    }

    fn own_strings(&mut self, place: &Place) -> Result<TextsId> {
        let min = self.count(place, "minLength")?.unwrap_or(0);
        let max = self.count(place, "maxLength")?;
        let mut allowed = self.texts.length(min, max);
        if let Some(value) = self.document.get(place.node, "pattern") {
            let Some(pattern) = self.document.string(value) else {
                return Err(Refusal::invalid("pattern", "it must be a string"));
            };
            let found = self.pattern(pattern, "pattern")?;
            allowed = self.texts.and(allowed, found);
        }
        if let Some(value) = self.document.get(place.node, "format") {
            let Some(name) = self.document.string(value) else {
                return Err(Refusal::invalid("format", "it must be a string"));
            };
            if let Some(format) = formats::known(name) {
                let fitting = self.texts.format(format);
                allowed = self.texts.and(allowed, fitting);
            } else {
                let pointer = self.document.pointer(place.node);
                self.annotations.push((pointer, format!("format: {name}")));
            }
        }
        Ok(allowed)
    }

    /// The strings in which a pattern is found.
    pub(super) fn pattern(&mut self, pattern: &str, keyword: &str) -> Result<TextsId> {
        self.texts.pattern(pattern).map_err(|fault| match fault {
            SearchFault::Pattern(PatternFault::Malformed(what)) => {
                Refusal::invalid(keyword, format!("'{pattern}' is not ECMA-262: {what}"))
                    .hint("patterns are ECMA-262 regular expressions")
            }
            SearchFault::Pattern(PatternFault::Unsupported(what)) => {
                Refusal::unsupported(keyword, format!("'{pattern}' has {what}"))
                    .hint("write it without look-behind, back-references and word boundaries")
            }
            SearchFault::TooManyStates => {
                let mut fault = self.work.refusal();
                keyword.clone_into(&mut fault.keyword);
                fault
            }
        })
    }

    /// A keyword's number.
    pub(super) fn number(&self, place: &Place, keyword: &str) -> Result<Option<Decimal>> {
        let Some(value) = self.document.get(place.node, keyword) else {
            return Ok(None);
        };
        match self.document.node(value) {
            Node::Number(number) if number.point() < 1_000 && number.point() > -1_000 => {
                Ok(Some(number.clone()))
            }
            Node::Number(_) => Err(Refusal::unsupported(keyword, "its exponent is too large")),
            _ => Err(Refusal::invalid(keyword, "it must be a number")),
        }
    }

    /// A keyword's count.
    pub(super) fn count(&self, place: &Place, keyword: &str) -> Result<Option<u32>> {
        let fault = || Refusal::invalid(keyword, "it must be a whole number, zero or more");
        match self
            .document
            .get(place.node, keyword)
            .map(|value| self.document.node(value))
        {
            None => Ok(None),
            Some(Node::Number(number)) => number.as_count().map(Some).ok_or_else(fault),
            Some(_) => Err(fault()),
        }
    }

    /// A keyword's boolean; false where it is absent.
    pub(super) fn flag(&self, place: &Place, keyword: &str) -> Result<bool> {
        match self
            .document
            .get(place.node, keyword)
            .map(|value| self.document.node(value))
        {
            None => Ok(false),
            Some(Node::Bool(flag)) => Ok(*flag),
            Some(_) => Err(Refusal::invalid(keyword, "it must be a boolean")),
        }
    }
}
