//! Object shapes: both of two, and the shapes outside of one.

use std::rc::Rc;

use super::form::{ANY, Expr, ExprId, NOTHING, ObjectShape};
use super::hash::{Map, Set};
use super::lowering::Lowering;
use super::texts::{self, TextSet};

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
        if right.is_empty() {
            return all;
        }
        let places: Map<Rc<str>, usize> = left
            .iter()
            .enumerate()
            .map(|(at, one)| (Rc::clone(&one.0), at))
            .collect();
        for (name, expr) in right {
            match places.get(name) {
                Some(&at) => all[at].1 = self.both(all[at].1, *expr),
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
        let declared: Set<Rc<str>> = shape
            .properties
            .iter()
            .map(|one| Rc::clone(&one.0))
            .collect();
        for name in shape.required.clone() {
            if !declared.contains(&name) {
                shape.properties.push((name, ANY));
            }
        }
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
    let all = united(left, right);
    if all.len() == left.len() {
        return Rc::clone(left);
    }
    all.into()
}

fn both_union_orders(left: &ObjectShape, right: &ObjectShape) -> Rc<[Rc<str>]> {
    if left.union_order.is_empty() && right.union_order.is_empty() {
        return Rc::clone(&left.union_order);
    }
    both_orders(left.order_met(), right.order_met())
}

fn united<T: Clone + Eq + std::hash::Hash>(left: &[T], right: &[T]) -> Vec<T> {
    let mut all = left.to_vec();
    if right.is_empty() {
        return all;
    }
    if left.len() * right.len() < 64 {
        all.extend(right.iter().filter(|one| !left.contains(one)).cloned());
        return all;
    }
    let known: Set<&T> = left.iter().collect();
    all.extend(right.iter().filter(|one| !known.contains(one)).cloned());
    all
}

/// The smaller of two bounds that may be absent.
pub(super) fn least(left: Option<u32>, right: Option<u32>) -> Option<u32> {
    match (left, right) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
