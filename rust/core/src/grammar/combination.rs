//! Conjunction, union and complement of forms: set operations, type by type.

use std::rc::Rc;

use super::form::{Form, ObjectShape};
use super::lowering::Lowering;
use super::numbers::{Numbers, StepTooLarge};
use super::object_shapes::Cursor;
use super::refusal::{Refusal, Result};

/// Unions of more shapes than this are not searched for repeats.
const SEARCHED_MAX: usize = 64;
/// Names that cost as much as making a shape.
const NAMES_OF_A_SHAPE: usize = 8;
/// Names that are compared for each that is looked at.
const COMPARED_NAMES: usize = 8;
/// Unions of fewer shapes are not worth a search for covered ones.
const COVERED_MIN: usize = 6;
/// Pairs of cells of numbers that cost as much to combine.
const CELLS_OF_A_SHAPE: usize = 8;

impl From<StepTooLarge> for Refusal {
    fn from(_: StepTooLarge) -> Self {
        Self::unsupported(
            "multipleOf",
            "the steps have no common multiple of 18 digits",
        )
    }
}

impl Lowering<'_> {
    /// What is in both forms.
    pub(super) fn intersection(&mut self, left: &Form, right: &Form) -> Result<Form> {
        let arrays = if left.arrays.is_empty() || right.arrays.is_empty() {
            Vec::new()
        } else {
            self.both_array_unions(&left.arrays, &right.arrays)?
        };
        let objects = if left.objects.is_empty() || right.objects.is_empty() {
            Vec::new()
        } else {
            self.both_object_unions(&left.objects, &right.objects)?
        };
        Ok(Form {
            null: left.null && right.null,
            bools: left.bools & right.bools,
            numbers: self.both_numbers(&left.numbers, &right.numbers)?,
            integers: left.integers || right.integers,
            strings: self.texts.and(left.strings, right.strings),
            arrays,
            objects,
            exact: left.exact && right.exact,
        })
    }

    fn both_numbers(&mut self, left: &Numbers, right: &Numbers) -> Result<Numbers> {
        if left.is_all() {
            return Ok(right.clone());
        }
        if right.is_all() {
            return Ok(left.clone());
        }
        self.spend(left.pairs(right) / CELLS_OF_A_SHAPE)?;
        Ok(left.intersection(right)?)
    }

    /// What is in one of the forms at least.
    pub(super) fn union(&mut self, left: Form, right: &Form) -> Form {
        let integers = (left.integers || left.numbers.0.is_empty())
            && (right.integers || right.numbers.0.is_empty());
        Form {
            null: left.null || right.null,
            bools: left.bools | right.bools,
            numbers: left.numbers.union(&right.numbers),
            integers,
            strings: self.texts.or(left.strings, right.strings),
            arrays: merged(left.arrays, &right.arrays, self.tracks_evaluation),
            objects: merged(left.objects, &right.objects, self.tracks_evaluation),
            exact: left.exact && right.exact,
        }
    }

    /// What is not in a form. Nothing counts as looked at: `not` passes on no annotations.
    pub(super) fn complement(&mut self, form: &Form) -> Result<Form> {
        if !form.exact {
            return Err(Refusal::unsupported(
                "not",
                "the opposite of a schema is needed that is only \
                 known in part: which properties many `anyOf` branches look at",
            )
            .hint("use fewer branches beside `unevaluatedProperties`"));
        }
        let mut outside = Form::any();
        outside.null = !form.null;
        outside.bools = !form.bools & 3;
        for opposite in form.numbers.opposites() {
            outside.numbers = self.both_numbers(&outside.numbers, &opposite)?;
        }
        outside.strings = self.texts.not(form.strings);
        for shape in &form.arrays {
            let others = self.array_complement(shape)?;
            outside.arrays = self.both_array_unions(&outside.arrays, &others)?;
        }
        for shape in &form.objects {
            let others = self.object_complement(shape);
            outside.objects = self.both_object_unions(&outside.objects, &others)?;
        }
        Ok(outside)
    }

    fn both_object_unions(
        &mut self,
        left: &[Rc<ObjectShape>],
        right: &[Rc<ObjectShape>],
    ) -> Result<Vec<Rc<ObjectShape>>> {
        let prune = left.len() * right.len() > 1;
        let mut all = Vec::new();
        for one in left {
            let mut made = Vec::new();
            for other in right {
                let names = self.names_of_both(one, other);
                self.spend(1 + usize::from(self.tracks_evaluation) + names / NAMES_OF_A_SHAPE)?;
                let Some(both) = self.both_objects(one, other) else {
                    continue;
                };
                if both == **one && !self.tracks_evaluation {
                    // It lies within the other union as it is; more cuts add nothing.
                    made = vec![Rc::clone(one)];
                    break;
                }
                if prune && self.is_hopeless(&both) {
                    continue;
                }
                made.push(Rc::new(both));
            }
            for shape in made {
                if all.len() > SEARCHED_MAX || !all.contains(&shape) {
                    all.push(shape);
                }
            }
        }
        if all.len() > COVERED_MIN && !self.tracks_evaluation {
            self.drop_covered(&mut all)?;
        }
        Ok(all)
    }

    /// What it costs to make the objects of both shapes, in names that are looked at.
    fn names_of_both(&self, one: &ObjectShape, other: &ObjectShape) -> usize {
        let declared = one.properties.len() + other.properties.len();
        let required = one.required.len() + other.required.len();
        let looked_at = if self.tracks_evaluation && one.evaluated != other.evaluated {
            self.texts.entries(one.evaluated) + self.texts.entries(other.evaluated)
        } else {
            0
        };
        let ordered = |left: &Rc<[Rc<str>]>, right: &Rc<[Rc<str>]>| {
            let is_kept = left.is_empty() || right.is_empty() || Rc::ptr_eq(left, right);
            if is_kept { 0 } else { left.len() + right.len() }
        };
        let orders =
            ordered(&one.order, &other.order) + ordered(&one.union_order, &other.union_order);
        declared + required + looked_at + orders + declared * required / COMPARED_NAMES
    }

    /// Whether a required property has no possible value.
    fn is_hopeless(&mut self, shape: &ObjectShape) -> bool {
        let mut places = Cursor::default();
        shape.required.iter().any(|name| {
            let at = places.find(&shape.properties, |one| one.0 == *name);
            at.is_some_and(|at| self.is_empty(shape.properties[at].1, 3))
        })
    }

    fn both_array_unions(
        &mut self,
        left: &[Rc<super::form::ArrayShape>],
        right: &[Rc<super::form::ArrayShape>],
    ) -> Result<Vec<Rc<super::form::ArrayShape>>> {
        self.spend(left.len() * right.len())?;
        let mut all = Vec::new();
        for one in left {
            let mut made = Vec::new();
            for other in right {
                let Some(both) = self.both_arrays(one, other) else {
                    continue;
                };
                if both == **one && !self.tracks_evaluation {
                    made = vec![Rc::clone(one)];
                    break;
                }
                made.push(Rc::new(both));
            }
            for shape in made {
                if all.len() > SEARCHED_MAX || !all.contains(&shape) {
                    all.push(shape);
                }
            }
        }
        Ok(all)
    }
}

/// Both unions; the shape of everything stands for all, unless what was looked at matters.
fn merged<S: PartialEq + Default>(
    mut all: Vec<Rc<S>>,
    right: &[Rc<S>],
    tracks: bool,
) -> Vec<Rc<S>> {
    let any = S::default();
    let whole = all.iter().chain(right).find(|shape| ***shape == any);
    if let Some(whole) = whole.filter(|_| !tracks) {
        return vec![Rc::clone(whole)];
    }
    for shape in right {
        if all.len() > SEARCHED_MAX || !all.contains(shape) {
            all.push(Rc::clone(shape));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use crate::grammar::compile;
    use crate::grammar::limits::Options;
    use crate::grammar::refusal::RefusalKind;

    fn conditions(count: usize) -> String {
        let one = |at| {
            format!(r#"{{"if": {{"required": ["a{at}"]}}, "then": {{"required": ["b{at}"]}}}}"#)
        };
        let all: Vec<String> = (0..count).map(one).collect();
        format!(r#"{{"allOf": [{}]}}"#, all.join(","))
    }

    #[test]
    fn shapes_that_are_compared_count_as_work() {
        let options = Options::default();
        assert!(compile(conditions(8).as_bytes(), &options).is_ok());
        // Few enough to be made, too many to be compared with each other.
        for count in [11, 24] {
            assert_too_many(&conditions(count));
        }
    }

    #[test]
    fn combined_constants_and_counted_items_count_as_work() {
        let list = |keyword: &str, count: usize, one: &dyn Fn(usize) -> String| {
            let all: Vec<String> = (0..count).map(one).collect();
            format!(r#"{{"{keyword}": [{}]}}"#, all.join(","))
        };
        let constant = |at: usize| format!(r#"{{"const": {at}}}"#);
        let range = |at: usize| format!(r#"{{"minimum": {at}, "maximum": {at}.5}}"#);
        let other = |at: usize| format!(r#"{{"not": {{"const": {at}}}}}"#);
        let item = |at: usize| format!(r#"{{"contains": {{"const": {at}}}}}"#);
        let options = Options::default();
        for schema in [
            list("oneOf", 4_000, &constant),
            list("anyOf", 4_000, &constant),
            list("oneOf", 40, &range),
            list("anyOf", 400, &range),
            list("allOf", 40, &other),
            list("allOf", 5, &item),
        ] {
            assert!(compile(schema.as_bytes(), &options).is_ok(), "{schema}");
        }
        for schema in [
            list("oneOf", 4_000, &range),
            list("anyOf", 4_000, &range),
            list("allOf", 2_000, &other),
            list("allOf", 2_000, &item),
        ] {
            assert_too_many(&schema);
        }
    }

    fn assert_too_many(schema: &str) {
        let refusal = compile(schema.as_bytes(), &Options::default()).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::TooLarge);
        assert!(refusal.reason.contains("alternatives_max"), "{refusal}");
    }
}
