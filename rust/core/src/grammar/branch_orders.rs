//! Values of one name in several branches of a union: an object may write its names in the order
//! in which all these values declare them, as a reader of the whole schema meets them.

use std::rc::Rc;

use super::emission::Emission;
use super::form::{ANY, Expr, ExprId, Form, NOTHING, ObjectShape};
use super::hash::{Map, Set};

/// Values of one name that are looked at together.
const VALUES_MAX: usize = 16;
/// Names of one union, and values of a whole grammar that are written in such an order.
const NAMES_MAX: usize = 2_000;
const VALUES_TOTAL: usize = 200;

impl Emission<'_, '_> {
    /// The objects of an expression with its form, whose values know what else may stand in their
    /// place; none where that changes nothing.
    pub(super) fn among_branches(
        &mut self,
        expr: ExprId,
        form: &Form,
    ) -> Option<Vec<Rc<ObjectShape>>> {
        let beside = match self.lowering.expressions.get(expr) {
            Expr::Beside(_, others) => Some(Rc::clone(others)),
            _ => None,
        };
        if form.objects.is_empty() || beside.is_none() && form.objects.len() < 2 {
            return None;
        }
        let branches = match &beside {
            Some(others) => self.objects_of(others),
            None => form.objects.clone(),
        };
        let values = self.values_by_name(&branches);
        let order = beside.and_then(|_| order_of_all(&branches));
        if order.is_none() && values.is_empty() {
            return None;
        }
        let mut objects = form.objects.clone();
        for shape in &mut objects {
            let shape = Rc::make_mut(shape);
            if let Some(order) = &order {
                shape.union_order = Rc::clone(order);
            }
            for (name, value) in &mut shape.properties {
                if let Some(others) = values.get(name).filter(|others| others.contains(value)) {
                    *value = self.lowering.expressions.beside(*value, Rc::clone(others));
                }
            }
        }
        Some(objects)
    }

    fn objects_of(&mut self, exprs: &[ExprId]) -> Vec<Rc<ObjectShape>> {
        let forms = exprs
            .iter()
            .filter_map(|&expr| self.lowering.form(expr).ok());
        forms.flat_map(|form| form.objects.clone()).collect()
    }

    /// The different objects that a name may have as its value, where they are several.
    fn values_by_name(&mut self, branches: &[Rc<ObjectShape>]) -> Map<Rc<str>, Rc<[ExprId]>> {
        let mut found: Map<&Rc<str>, Vec<ExprId>> = Map::default();
        let names: usize = branches.iter().map(|shape| shape.properties.len()).sum();
        if names > NAMES_MAX || self.lowering.options.deterministic {
            return Map::default();
        }
        for (name, value) in branches.iter().flat_map(|shape| &shape.properties) {
            let values = found.entry(name).or_default();
            if *value != ANY && *value != NOTHING && !values.contains(value) {
                values.push(*value);
            }
        }
        let mut several = Map::default();
        for (name, values) in found {
            if (2..=VALUES_MAX).contains(&values.len())
                && self.reordered_values + values.len() <= VALUES_TOTAL
                && self.are_objects(&values)
            {
                self.reordered_values += values.len();
                several.insert(Rc::clone(name), values.into());
            }
        }
        several
    }

    /// Whether two of these are objects with names.
    fn are_objects(&mut self, values: &[ExprId]) -> bool {
        let is_object = |value: &&ExprId| {
            let lowering = &mut *self.lowering;
            let is_schema = !matches!(lowering.expressions.get(**value), Expr::Values(_));
            let form = is_schema.then(|| lowering.form(**value).ok()).flatten();
            form.is_some_and(|form| form.objects.iter().any(|shape| !shape.order.is_empty()))
        };
        values.iter().filter(is_object).count() > 1
    }
}

/// The names of all shapes as they come, where the shapes have several orders.
fn order_of_all(shapes: &[Rc<ObjectShape>]) -> Option<Rc<[Rc<str>]>> {
    let mut known: Set<&Rc<str>> = Set::default();
    let names = shapes.iter().flat_map(|shape| shape.order_met().iter());
    let order: Rc<[Rc<str>]> = names.filter(|name| known.insert(name)).cloned().collect();
    let is_other = |shape: &Rc<ObjectShape>| !shape.order.is_empty() && shape.order != order;
    shapes.iter().any(is_other).then_some(order)
}

#[cfg(test)]
mod tests {
    use crate::grammar::recogniser::allows;

    fn union(keyword: &str) -> String {
        let branch = |name: &str, names: &str| {
            let required = r#""required": ["k"]"#;
            format!(
                r#"{{"properties": {{"k": {{"const": "{name}"}},
                     "of": {{"type": "object", "properties": {{{names}}}}}}}, {required}}}"#
            )
        };
        let (one, other) = (
            branch("a", r#""x": {"type": "null"}, "y": {"type": "integer"}"#),
            branch(
                "b",
                r#""z": {"type": "null"}, "y": {"type": "string"}, "x": {"type": "null"}"#,
            ),
        );
        format!(r#"{{"type": "object", "{keyword}": [{one}, {other}]}}"#)
    }

    #[test]
    fn a_value_is_written_in_its_own_order_and_in_that_of_all_branches() {
        for keyword in ["anyOf", "oneOf"] {
            let schema = union(keyword);
            for text in [
                r#"{"k":"a","of":{"x":null,"y":1}}"#,
                r#"{"k":"b","of":{"z":null,"y":"","x":null}}"#,
                r#"{"k":"b","of":{"x":null,"y":"","z":null}}"#,
            ] {
                assert!(allows(&schema, text), "{keyword} {text}");
            }
            for text in [
                r#"{"k":"a","of":{"x":null,"y":""}}"#,
                r#"{"k":"b","of":{"x":null,"y":1}}"#,
                r#"{"k":"b","of":{"x":null,"y":"","z":1}}"#,
                r#"{"k":"b","of":{"x":null,"y":"","x":null}}"#,
            ] {
                assert!(!allows(&schema, text), "{keyword} {text}");
            }
        }
    }

    #[test]
    fn values_that_lead_back_to_their_union_end() {
        let schema = r##"{"anyOf": [
            {"properties": {"k": {"const": 1}, "next": {"$ref": "#"}}, "required": ["k"]},
            {"properties": {"next": {"properties": {"b": {}, "a": {}}, "anyOf": [{"$ref": "#"}]},
                            "k": {"const": 2}}, "required": ["k"]}], "type": "object"}"##;
        for text in [
            r#"{"k":1,"next":{"k":1}}"#,
            r#"{"next":{"b":1,"a":2,"k":1},"k":2}"#,
        ] {
            assert!(allows(schema, text), "{text}");
        }
    }
}
