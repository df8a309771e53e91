//! Which objects of a union lie within others of it, as products of alternatives often do.
//!
//! Most pairs of shapes are told apart by a few words: what each wants of an object that lies
//! within it, and what its own objects hold, bit by bit.

use std::rc::Rc;

use super::form::{ANY, Expr, ExprId, NOTHING, ObjectShape};
use super::hash::Map;
use super::lowering::Lowering;
use super::refusal::Result;
use super::texts::TextsId;

/// Pairs of shapes that cost as much to compare as making one.
const PAIRS_OF_A_SHAPE: usize = 128;
/// Parts of the values of one subject up to which each has a bit of its own.
const VALUES_MAX: usize = 32;

impl Lowering<'_> {
    /// Leaves out shapes that lie within another one.
    pub(super) fn drop_covered(&mut self, all: &mut Vec<Rc<ObjectShape>>) -> Result<()> {
        let facts = Facts::of(self, all);
        let mut kept = Facts::default();
        let mut places: Vec<usize> = Vec::with_capacity(all.len());
        let mut pairs = 0;
        for at in 0..all.len() {
            pairs += 2 * places.len();
            self.spend(pairs / PAIRS_OF_A_SHAPE)?;
            pairs %= PAIRS_OF_A_SHAPE;
            let (wanted, held) = facts.row(at);
            let mut others = places.iter().zip(kept.wanted.chunks_exact(facts.words));
            if others
                .any(|(&other, row)| is_within(row, held) && self.covers(&all[other], &all[at]))
            {
                continue;
            }
            let others = places.iter().zip(kept.held.chunks_exact(facts.words));
            let covered = others.filter(|(other, row)| {
                is_within(wanted, row) && self.covers(&all[at], &all[**other])
            });
            let covered: Vec<usize> = covered.map(|one| *one.0).collect();
            if !covered.is_empty() {
                places.retain(|other| covered.binary_search(other).is_err());
                kept = Facts::default();
                for &other in &places {
                    kept.push(facts.row(other));
                }
            }
            places.push(at);
            kept.push(facts.row(at));
        }
        *all = places.into_iter().map(|at| Rc::clone(&all[at])).collect();
        Ok(())
    }

    /// Whether it is seen at once that every object of the second shape is of the first.
    fn covers(&self, outer: &ObjectShape, inner: &ObjectShape) -> bool {
        // Shapes that were made of the same ones have most names in the same places.
        let value = |at: usize, name: &Rc<str>| match inner.properties.get(at) {
            Some(one) if one.0 == *name => Some(one.1),
            _ => inner.property(name),
        };
        let requires = |at: usize, name: &Rc<str>| {
            inner.required.get(at) == Some(name) || inner.requires(name)
        };
        outer.min <= inner.min
            && outer
                .max
                .is_none_or(|max| inner.max.is_some_and(|less| less <= max))
            && (outer.properties.iter().enumerate()).all(|(at, (name, expr))| {
                value(at, name).is_some_and(|within| self.implies(within, *expr))
            })
            && (outer.required.iter().enumerate()).all(|(at, name)| requires(at, name))
            && outer
                .exists
                .iter()
                .all(|demand| inner.exists.contains(demand))
            && outer.rules.iter().all(|&(names, expr)| {
                let within = |rule: &(u32, u32)| rule.0 == names && self.implies(rule.1, expr);
                inner.rules.iter().any(within)
            })
    }

    /// Whether it is seen at once that an expression lies within another.
    fn implies(&self, inner: ExprId, outer: ExprId) -> bool {
        if inner == outer || outer == ANY || inner == NOTHING {
            return true;
        }
        match (self.expressions.get(inner), self.expressions.get(outer)) {
            (Expr::And(parts), Expr::And(wanted)) => wanted.iter().all(|one| parts.contains(one)),
            (Expr::And(parts), _) => parts.contains(&outer),
            (Expr::Values(some), Expr::Values(more)) => some.iter().all(|one| more.contains(one)),
            _ => false,
        }
    }

    /// What a value must all be.
    fn parts_of<'s>(&'s self, value: &'s ExprId) -> &'s [ExprId] {
        match self.expressions.get(*value) {
            Expr::And(parts) => parts,
            _ => std::slice::from_ref(value),
        }
    }
}

/// What a shape says something about.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Subject<'s> {
    Property(&'s str),
    Required(&'s str),
    Rule(TextsId),
    Exists(TextsId, ExprId),
}

/// All that a shape says; that something is required or exists has no value.
fn said(shape: &ObjectShape) -> impl Iterator<Item = (Subject<'_>, ExprId)> {
    let properties = shape.properties.iter();
    let required = shape.required.iter();
    let rules = shape.rules.iter();
    let exists = shape.exists.iter();
    (properties.map(|(name, value)| (Subject::Property(name), *value)))
        .chain(required.map(|name| (Subject::Required(name), ANY)))
        .chain(rules.map(|&(names, value)| (Subject::Rule(names), value)))
        .chain(exists.map(|&(names, value)| (Subject::Exists(names, value), ANY)))
}

/// For each shape so many words: what it wants of others that lie within it, and what it holds.
#[derive(Default)]
struct Facts {
    words: usize,
    wanted: Vec<u64>,
    held: Vec<u64>,
}

impl Facts {
    fn of(lowering: &Lowering, shapes: &[Rc<ObjectShape>]) -> Self {
        let mut numbers: Map<Subject, usize> = Map::default();
        // For each subject the parts of its values, or the first ones of many, each with its bit.
        let mut values: Vec<Vec<(ExprId, usize)>> = Vec::new();
        let mut bits = 0;
        let mut cells: Vec<(usize, ExprId)> = Vec::new();
        let mut ends = Vec::with_capacity(shapes.len());
        for shape in shapes {
            for (subject, value) in said(shape) {
                let number = *numbers.entry(subject).or_insert(values.len());
                if number == values.len() {
                    values.push(Vec::new());
                }
                let values = &mut values[number];
                for &part in lowering.parts_of(&value) {
                    if values.len() <= VALUES_MAX && values.iter().all(|known| known.0 != part) {
                        values.push((part, bits));
                        bits += 1;
                    }
                }
                cells.push((number, value));
            }
            ends.push(cells.len());
        }
        let words = bits.div_ceil(64).max(1);
        let mut facts = Self {
            words,
            wanted: vec![0; shapes.len() * words],
            held: vec![0; shapes.len() * words],
        };
        let mut first = 0;
        for (at, end) in ends.into_iter().enumerate() {
            let wanted = &mut facts.wanted[at * words..][..words];
            let held = &mut facts.held[at * words..][..words];
            for &(subject, value) in &cells[first..end] {
                let known = &values[subject];
                let are_many = known.len() > VALUES_MAX;
                let parts = lowering.parts_of(&value);
                for &(other, bit) in known {
                    if !are_many && parts.contains(&other) {
                        wanted[bit / 64] |= 1 << (bit % 64);
                    }
                    if are_many || lowering.implies(value, other) {
                        held[bit / 64] |= 1 << (bit % 64);
                    }
                }
            }
            first = end;
        }
        facts
    }

    /// What one shape wants, and what it holds.
    fn row(&self, at: usize) -> (&[u64], &[u64]) {
        let row = at * self.words..(at + 1) * self.words;
        (&self.wanted[row.clone()], &self.held[row])
    }

    fn push(&mut self, (wanted, held): (&[u64], &[u64])) {
        self.wanted.extend_from_slice(wanted);
        self.held.extend_from_slice(held);
    }
}

/// Whether a shape that holds something may lie within one that wants something.
fn is_within(wanted: &[u64], held: &[u64]) -> bool {
    wanted
        .iter()
        .zip(held)
        .all(|(wanted, held)| wanted & !held == 0)
}
