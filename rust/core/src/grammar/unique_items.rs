//! `uniqueItems` as rules: no value can be chosen twice.
//!
//! A grammar cannot compare two items. Where the items are a few constants, the rule remembers
//! those that are used; where they are many, it takes them in their order; where they are open,
//! it splits them into kinds that no value shares and takes each kind at most once. All of these
//! are sound; the latter two leave some valid arrays out.

use std::collections::VecDeque;

use super::array_rules::text;
use super::emission::Emission;
use super::form::{ArrayShape, Form, NOTHING};
use super::hash::Map;
use super::partition::Side;
use super::refusal::{Refusal, Result};
use super::rules::{Piece, RuleId};
use super::string_rules::quoted;
use super::texts::{self, TextSet};

/// Kinds of which any order is allowed; the states are their subsets.
const FREE_MAX: usize = 8;
/// Kinds at all.
const KINDS_MAX: usize = 2_000;
/// Kinds into which open strings are cut.
const OPEN_KINDS: usize = 7;

/// Items and the closing bracket, each item another value.
pub(super) fn items(emission: &mut Emission, shape: &ArrayShape) -> Result<RuleId> {
    if !shape.prefix.is_empty() {
        return Err(
            Refusal::unsupported("uniqueItems", "it stands beside items by position")
                .hint("leave `uniqueItems` out, or use `items` alone"),
        );
    }
    if shape.rest == NOTHING {
        return emission.rules.add(vec![vec![text("]")]]);
    }
    let form = emission.lowering.form(shape.rest)?;
    let first = sided(emission, shape, &form, Side::First)?;
    if matches!(
        emission.lowering.texts.get(form.strings),
        TextSet::Finite(_)
    ) {
        return Ok(first);
    }
    // What one way to tell open strings apart leaves out, the other may take.
    let last = sided(emission, shape, &form, Side::Last)?;
    emission
        .rules
        .add(vec![vec![Piece::Rule(first)], vec![Piece::Rule(last)]])
}

fn sided(emission: &mut Emission, shape: &ArrayShape, form: &Form, side: Side) -> Result<RuleId> {
    let kinds = kinds(emission, form, side)?;
    let min = shape.min as usize;
    if min > kinds.len() {
        let reason = "so many different items cannot be told apart";
        return Err(Refusal::unsupported("uniqueItems", reason)
            .hint("list the items in an `enum`, or ask for fewer"));
    }
    let max = shape
        .max
        .map_or(usize::MAX, |max| max as usize)
        .min(kinds.len());
    if kinds.len() <= FREE_MAX {
        subsets(emission, &kinds, min, max)
    } else {
        rising(emission, &kinds, min, max)
    }
}

/// Alternatives for items such that no value is in two of them.
fn kinds(emission: &mut Emission, form: &Form, side: Side) -> Result<Vec<Vec<Piece>>> {
    let mut kinds: Vec<Vec<Piece>> = Vec::new();
    let word = |word: &str| vec![text(word)];
    if form.null {
        kinds.push(word("null"));
    }
    if form.bools & 1 != 0 {
        kinds.push(word("false"));
    }
    if form.bools & 2 != 0 {
        kinds.push(word("true"));
    }
    let mut points: Vec<String> = form
        .numbers
        .0
        .iter()
        .filter_map(|cell| Some(cell.single()?.text()))
        .collect();
    if points.len() == form.numbers.0.len() {
        points.sort_unstable();
        points.dedup();
        kinds.extend(points.iter().map(|point| word(point)));
    } else {
        kinds.extend(emission.numbers(&form.numbers)?.into_iter().take(1));
    }
    if let TextSet::Finite(all) = emission.lowering.texts.get(form.strings) {
        kinds.extend(all.iter().map(|one| word(&quoted(one))));
    } else {
        open_strings(emission, form, side, &mut kinds)?;
    }
    if let Some(shape) = form.arrays.first() {
        kinds.push(vec![Piece::Rule(super::array_rules::array(
            emission, shape,
        )?)]);
    }
    if let Some(shape) = form.objects.first() {
        kinds.push(vec![Piece::Rule(super::object_rules::object(
            emission, shape,
        )?)]);
    }
    if kinds.len() > KINDS_MAX {
        return Err(Refusal::too_large("unique_kinds_max", KINDS_MAX));
    }
    Ok(kinds)
}

fn open_strings(
    emission: &mut Emission,
    form: &Form,
    side: Side,
    kinds: &mut Vec<Vec<Piece>>,
) -> Result<()> {
    if form.strings == texts::NONE {
        return Ok(());
    }
    for part in emission.parts_of(form.strings, OPEN_KINDS, side)? {
        kinds.push(vec![Piece::Rule(emission.string_rule(part)?)]);
    }
    Ok(())
}

/// Any order: a rule for each subset that is used up.
fn subsets(
    emission: &mut Emission,
    kinds: &[Vec<Piece>],
    min: usize,
    max: usize,
) -> Result<RuleId> {
    let mut rules = Map::from_iter([(0_u32, emission.rules.reserve()?)]);
    let mut open = VecDeque::from([0_u32]);
    while let Some(used) = open.pop_front() {
        let count = used.count_ones() as usize;
        let (mut all, mut others) = (Vec::new(), Vec::new());
        if count >= min {
            all.push(vec![text("]")]);
        }
        for (place, kind) in kinds.iter().enumerate() {
            let next = used | 1 << place;
            if next == used || count >= max {
                continue;
            }
            let rule = if let Some(&rule) = rules.get(&next) {
                rule
            } else {
                let rule = emission.rules.reserve()?;
                rules.insert(next, rule);
                open.push_back(next);
                rule
            };
            let mut pieces = kind.clone();
            pieces.push(Piece::Rule(rule));
            others.push(pieces);
        }
        all.extend(emission.next_of(count == 0, others)?);
        emission.rules.define(rules[&used], all);
    }
    Ok(rules[&0])
}

/// One order: each kind after the ones before it.
fn rising(emission: &mut Emission, kinds: &[Vec<Piece>], min: usize, max: usize) -> Result<RuleId> {
    // A count matters only while there are too few, or where there can be too many.
    let counted = if max < kinds.len() { max } else { min.max(1) };
    let mut after: Vec<Option<RuleId>> = vec![None; counted + 1];
    let mut next = after.clone();
    for place in (0..=kinds.len()).rev() {
        for (count, slot) in next.iter_mut().enumerate() {
            let mut all = Vec::new();
            if place == kinds.len() && count >= min {
                all.push(vec![text("]")]);
            }
            if let (Some(kind), Some(skip)) = (kinds.get(place), after[count]) {
                all.push(vec![Piece::Rule(skip)]);
                let full = max < kinds.len() && count == max;
                let taken = after[(count + 1).min(counted)];
                if let (false, Some(taken)) = (full, taken) {
                    let mut pieces = kind.clone();
                    pieces.push(Piece::Rule(taken));
                    all.extend(emission.next_one(count == 0, pieces)?);
                }
            }
            *slot = Some(emission.rules.add(all)?);
        }
        after.clone_from(&next);
    }
    match after[0] {
        Some(rule) => Ok(rule),
        None => emission.rules.reserve(),
    }
}
