//! Object shapes: both of two, and the shapes outside of one.

use std::hash::Hash;
use std::rc::Rc;

use super::form::{ANY, Expr, ExprId, NOTHING, ObjectShape};
use super::hash::{Map, Set};
use super::lowering::Lowering;
use super::texts::{self, TextSet};

/// Looks at a list of names that cost as much as a table of them: so many, and for each name.
const LOOKS_MAX: usize = 64;
const LOOKS_OF_A_NAME: usize = 6;

impl Lowering<'_> {
    /// The objects of both shapes; none where it is seen that there are none.
    pub(super) fn both_objects(
        &mut self,
        left: &ObjectShape,
        right: &ObjectShape,
    ) -> Option<ObjectShape> {
        if self.constants_clash(left, right) || self.constants_clash(right, left) {
            return None;
        }
        let mut both = ObjectShape {
            order: both_orders(&left.order, &right.order),
            union_order: both_union_orders(left, right),
            properties: self.both_properties(&left.properties, &right.properties),
            rules: left.rules.clone(),
            exists: united(&left.exists, &right.exists),
            required: united(&left.required, &right.required),
            min: left.min.max(right.min),
            max: least(left.max, right.max),
            evaluated: self.texts.or(left.evaluated, right.evaluated),
            declares: left.declares || right.declares,
        };
        for &(names, expr) in &right.rules {
            match both.rules.iter().position(|rule| rule.0 == names) {
                Some(at) => both.rules[at].1 = self.both(both.rules[at].1, expr),
                None => both.rules.push((names, expr)),
            }
        }
        self.tidy_object(both)
    }

    /// Whether a property that the left requires has constants that the right refuses: the common
    /// way in which variants exclude each other, so it is looked for first.
    fn constants_clash(&self, left: &ObjectShape, right: &ObjectShape) -> bool {
        left.required.iter().any(|name| {
            let values = |shape: &ObjectShape| match self.expressions.get(shape.property(name)?) {
                Expr::Values(nodes) => Some(Rc::clone(nodes)),
                _ => None,
            };
            match (values(left), values(right)) {
                (Some(a), Some(b)) => !a.iter().any(|node| b.contains(node)),
                _ => false,
            }
        })
    }

    fn both_properties(
        &mut self,
        left: &[(Rc<str>, ExprId)],
        right: &[(Rc<str>, ExprId)],
    ) -> Vec<(Rc<str>, ExprId)> {
        let mut all = left.to_vec();
        let mut places = Cursor::default();
        let mut known: Option<Map<&Rc<str>, usize>> = None;
        for (name, expr) in right {
            if known.is_none() && places.is_far(left.len()) {
                known = Some(left.iter().map(|one| &one.0).zip(0..).collect());
            }
            let found = match &known {
                Some(known) => known.get(name).copied(),
                None => places.find(left, |one| one.0 == *name),
            };
            match found {
                Some(at) => all[at].1 = self.both(all[at].1, *expr),
                None => all.push((Rc::clone(name), *expr)),
            }
        }
        all
    }

    /// The same objects, with what follows from other parts written out; none if there are none.
    pub(super) fn tidy_object(&mut self, mut shape: ObjectShape) -> Option<ObjectShape> {
        for at in 0..shape.exists.len() {
            let (names, expr) = shape.exists[at];
            if names == texts::NONE || expr == NOTHING {
                return None;
            }
            if let TextSet::Finite(only) = self.texts.get(names).clone()
                && let [name] = &*only
            {
                self.add_property(&mut shape, name, expr);
                if !shape.requires(name) {
                    shape.required.push(Rc::clone(name));
                }
                shape.exists[at].1 = ANY;
            }
        }
        let (required, held) = (&shape.required, &self.texts);
        shape.exists.retain(|&(names, expr)| {
            expr != ANY || !required.iter().any(|name| held.contains(names, name))
        });
        shape
            .rules
            .retain(|rule| rule.1 != ANY && rule.0 != texts::NONE);
        self.apply_rules(&mut shape);
        let forbidden = shape
            .required
            .iter()
            .any(|name| shape.property(name) == Some(NOTHING));
        let needed = u32::try_from(shape.required.len()).unwrap_or(u32::MAX);
        if forbidden || shape.max.is_some_and(|max| max < needed.max(shape.min)) {
            return None;
        }
        if shape.min <= needed {
            shape.min = 0;
        }
        Some(shape)
    }

    fn add_property(&mut self, shape: &mut ObjectShape, name: &Rc<str>, expr: ExprId) {
        match shape.properties.iter().position(|one| one.0 == *name) {
            Some(at) => shape.properties[at].1 = self.both(shape.properties[at].1, expr),
            None => shape.properties.push((Rc::clone(name), expr)),
        }
    }

    /// Lets the rules of patterns speak about the names that are declared or required.
    fn apply_rules(&mut self, shape: &mut ObjectShape) {
        if shape.rules.is_empty() {
            return;
        }
        let rules = shape.rules.clone();
        let declared = shape.properties.iter().map(|one| &one.0);
        let declared: Vec<&Rc<str>> = declared.collect();
        let others = added(&declared, &shape.required.iter().collect::<Vec<_>>());
        let others: Vec<Rc<str>> = others.into_iter().cloned().collect();
        shape
            .properties
            .extend(others.into_iter().map(|name| (name, ANY)));
        for at in 0..shape.properties.len() {
            let name = Rc::clone(&shape.properties[at].0);
            for &(names, expr) in &rules {
                if self.texts.contains(names, &name) {
                    shape.properties[at].1 = self.both(shape.properties[at].1, expr);
                }
            }
        }
    }

    /// Shapes that together are the objects outside of one.
    pub(super) fn object_complement(&mut self, shape: &ObjectShape) -> Vec<Rc<ObjectShape>> {
        let plain = ObjectShape {
            order: Rc::clone(&shape.order),
            ..ObjectShape::default()
        };
        let mut outside: Vec<ObjectShape> = Vec::new();
        for name in &shape.required {
            let properties = vec![(Rc::clone(name), NOTHING)];
            outside.push(ObjectShape {
                properties,
                ..plain.clone()
            });
        }
        for (name, expr) in &shape.properties {
            if *expr != ANY {
                let other = self.expressions.not(*expr);
                let properties = vec![(Rc::clone(name), other)];
                let required = vec![Rc::clone(name)];
                outside.push(ObjectShape {
                    properties,
                    required,
                    ..plain.clone()
                });
            }
        }
        for &(names, expr) in &shape.rules {
            let exists = vec![(names, self.expressions.not(expr))];
            outside.push(ObjectShape {
                exists,
                ..plain.clone()
            });
        }
        for &(names, expr) in &shape.exists {
            let rules = vec![(names, self.expressions.not(expr))];
            outside.push(ObjectShape {
                rules,
                ..plain.clone()
            });
        }
        if shape.min > 0 {
            outside.push(ObjectShape {
                max: Some(shape.min - 1),
                ..plain.clone()
            });
        }
        if let Some(max) = shape.max {
            outside.push(ObjectShape {
                min: max.saturating_add(1),
                ..plain.clone()
            });
        }
        outside
            .into_iter()
            .filter_map(|one| self.tidy_object(one).map(Rc::new))
            .collect()
    }
}

fn both_orders(left: &Rc<[Rc<str>]>, right: &Rc<[Rc<str>]>) -> Rc<[Rc<str>]> {
    if right.is_empty() || Rc::ptr_eq(left, right) {
        return Rc::clone(left);
    }
    if left.is_empty() {
        return Rc::clone(right);
    }
    let others = added(left, right);
    if others.is_empty() {
        return Rc::clone(left);
    }
    left.iter().cloned().chain(others).collect()
}

fn both_union_orders(left: &ObjectShape, right: &ObjectShape) -> Rc<[Rc<str>]> {
    if left.union_order.is_empty() && right.union_order.is_empty() {
        return Rc::clone(&left.union_order);
    }
    both_orders(left.order_met(), right.order_met())
}

fn united<T: Clone + Eq + Hash>(left: &[T], right: &[T]) -> Vec<T> {
    let mut all = left.to_vec();
    all.extend(added(left, right));
    all
}

/// What is in the right list only.
fn added<T: Clone + Eq + Hash>(left: &[T], right: &[T]) -> Vec<T> {
    let mut all = Vec::new();
    let mut places = Cursor::default();
    let mut known: Option<Set<&T>> = None;
    for one in right {
        if known.is_none() && places.is_far(left.len()) {
            known = Some(left.iter().collect());
        }
        let is_known = match &known {
            Some(known) => known.contains(one),
            None => places.find(left, |other| other == one).is_some(),
        };
        if !is_known {
            all.push(one.clone());
        }
    }
    all
}

/// Looks one after the other for what mostly stands in the same order in a list.
#[derive(Default)]
pub(super) struct Cursor {
    /// Where the next one should stand.
    at: usize,
    looks: usize,
}

impl Cursor {
    /// Where one stands.
    pub fn find<T>(&mut self, list: &[T], is_it: impl Fn(&T) -> bool) -> Option<usize> {
        let (before, behind) = list.split_at(self.at);
        let place = behind.iter().position(&is_it).map(|place| self.at + place);
        let found = place.or_else(|| before.iter().position(is_it));
        self.looks += found.map_or(list.len(), |found| found.abs_diff(self.at));
        self.at = found.map_or(self.at, |found| found + 1);
        found
    }

    /// Whether so much was looked at that a table of a list of this length would have been cheaper.
    const fn is_far(&self, length: usize) -> bool {
        self.looks > LOOKS_MAX + LOOKS_OF_A_NAME * length
    }
}

/// The smaller of two bounds that may be absent.
pub(super) fn least(left: Option<u32>, right: Option<u32>) -> Option<u32> {
    match (left, right) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
