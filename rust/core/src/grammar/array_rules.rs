//! Arrays as rules: first items one by one, then a counted or free run of the rest.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::choices::Choices;
use super::emission::Emission;
use super::form::{ArrayShape, ExprId, NOTHING, Tally};
use super::hash::Map;
use super::refusal::{Refusal, Result};
use super::rules::{Piece, RuleId, Token};
use super::unique_items;

/// Counts up to this are written as a chain of rules, beyond it by halves.
const CHAIN_MAX: u32 = 24;

/// Counts that cost half as much to copy as a choice does without any.
const COUNTS_OF_A_CHOICE: usize = 64;

/// The rule of one array shape.
///
/// # Errors
/// What cannot be said exactly, or a bound.
pub(super) fn array(emission: &mut Emission, shape: &ArrayShape) -> Result<RuleId> {
    let inner = if shape.unique {
        if !shape.tallies.is_empty() {
            return Err(
                Refusal::unsupported("uniqueItems", "it stands beside `contains`")
                    .hint("leave one of the two out"),
            );
        }
        unique_items::items(emission, shape)?
    } else if shape.tallies.is_empty() {
        run(emission, shape)?
    } else {
        tallied(emission, shape)?
    };
    emission.rules.add([[text("["), Piece::Rule(inner)]])
}

pub(super) fn text(characters: impl Into<Cow<'static, str>>) -> Piece {
    Piece::Text(characters.into())
}

/// Items and the closing bracket, where nothing is counted but the items.
fn run(emission: &mut Emission, shape: &ArrayShape) -> Result<RuleId> {
    let length = u32::try_from(shape.prefix.len()).unwrap_or(u32::MAX);
    let min = shape.min.saturating_sub(length);
    let max = match shape.max {
        _ if shape.rest == NOTHING => Some(0),
        Some(max) => Some(max.saturating_sub(length)),
        None => None,
    };
    if shape.rest == NOTHING && min > 0 {
        return emission.rules.reserve();
    }
    let mut tail = if length == 0 {
        if max == Some(0) {
            return emission.rules.add([[text("]")]]);
        }
        let item = emission.rule_of(shape.rest)?;
        let more = rest(
            emission,
            shape.rest,
            min.saturating_sub(1),
            max.map(|max| max - 1),
        )?;
        let mut all = Choices::default();
        all.push(&[Token::Rule(item), Token::Rule(more)]);
        if min == 0 {
            all.push(&[emission.rules.text_token("]")]);
        }
        return emission.rules.add_choices(&all);
    } else {
        rest(emission, shape.rest, min, max)?
    };
    for (index, &item) in shape.prefix.iter().enumerate().rev() {
        let pieces = [Token::Rule(emission.rule_of(item)?), Token::Rule(tail)];
        let mut all = Choices::default();
        emission.next_one(index == 0, &pieces, &mut all)?;
        if index >= shape.min as usize {
            all.push(&[emission.rules.text_token("]")]);
        }
        tail = emission.rules.add_choices(&all)?;
    }
    Ok(tail)
}

/// `min..=max` more items, each behind a comma, and the closing bracket.
fn rest(emission: &mut Emission, item: ExprId, min: u32, max: Option<u32>) -> Result<RuleId> {
    if max == Some(0) {
        return emission.rules.add([[text("]")]]);
    }
    let item = emission.rule_of(item)?;
    let unit = emission.behind_comma(item);
    let unit = emission.rules.add_choices(&unit)?;
    let mut runs = Runs::of(unit);
    let mut sequence = Vec::new();
    if min > 0 {
        sequence.push(Piece::Rule(runs.exactly(emission, min)?));
    }
    match max {
        None => {
            let star = emission.rules.reserve()?;
            let again = vec![Piece::Rule(unit), Piece::Rule(star)];
            emission.rules.define(star, vec![vec![text("]")], again]);
            sequence.push(Piece::Rule(star));
        }
        Some(max) => {
            if max > min {
                sequence.push(Piece::Rule(runs.at_most(emission, max - min)?));
            }
            sequence.push(text("]"));
        }
    }
    emission.rules.add([sequence])
}

/// Repetitions of one rule, shared by halves, so that a thousand of them cost twenty rules.
pub(super) struct Runs {
    unit: RuleId,
    exact: Map<u32, RuleId>,
    up_to: Map<u32, RuleId>,
}

impl Runs {
    /// No repetitions yet.
    pub(super) fn of(unit: RuleId) -> Self {
        Self {
            unit,
            exact: Map::default(),
            up_to: Map::default(),
        }
    }

    fn exactly(&mut self, emission: &mut Emission, count: u32) -> Result<RuleId> {
        if count == 1 {
            return Ok(self.unit);
        }
        if let Some(&rule) = self.exact.get(&count) {
            return Ok(rule);
        }
        let half = self.exactly(emission, count / 2)?;
        let mut pieces = vec![Piece::Rule(half), Piece::Rule(half)];
        if count % 2 == 1 {
            pieces.push(Piece::Rule(self.unit));
        }
        let rule = emission.rules.add([pieces])?;
        self.exact.insert(count, rule);
        Ok(rule)
    }

    /// Each count has one derivation: an odd maximum is a half or nothing, then at most the rest.
    pub(super) fn at_most(&mut self, emission: &mut Emission, max: u32) -> Result<RuleId> {
        if let Some(&rule) = self.up_to.get(&max) {
            return Ok(rule);
        }
        let all = if max == 1 {
            vec![Vec::new(), vec![Piece::Rule(self.unit)]]
        } else if max <= CHAIN_MAX || max.is_multiple_of(2) {
            let less = self.at_most(emission, max - 1)?;
            vec![Vec::new(), vec![Piece::Rule(self.unit), Piece::Rule(less)]]
        } else {
            let less = self.at_most(emission, max / 2)?;
            let half = self.exactly(emission, max / 2 + 1)?;
            vec![
                vec![Piece::Rule(less)],
                vec![Piece::Rule(half), Piece::Rule(less)],
            ]
        };
        let rule = emission.rules.add(all)?;
        self.up_to.insert(max, rule);
        Ok(rule)
    }
}

/// Where an array with counted items stands; counts stop where they no longer matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Count {
    index: u32,
    items: u32,
    fits: Vec<u32>,
}

/// Items and the closing bracket, where items of some schemas are counted.
fn tallied(emission: &mut Emission, shape: &ArrayShape) -> Result<RuleId> {
    let length = u32::try_from(shape.prefix.len()).unwrap_or(u32::MAX);
    let last_from = shape
        .tallies
        .iter()
        .map(|tally| tally.from)
        .max()
        .unwrap_or(0);
    let index_max = length.max(last_from).max(1);
    let items_max = shape.max.unwrap_or(shape.min);
    let start = Count {
        index: 0,
        items: 0,
        fits: vec![0; shape.tallies.len()],
    };
    let mut rules = Map::from_iter([(start.clone(), emission.rules.reserve()?)]);
    let mut open = VecDeque::from([start.clone()]);
    while let Some(count) = open.pop_front() {
        let (mut all, mut others) = (Choices::default(), Choices::default());
        let enough = shape
            .tallies
            .iter()
            .zip(&count.fits)
            .all(|(t, &fits)| fits >= t.min);
        if enough && count.items >= shape.min {
            all.push(&[emission.rules.text_token("]")]);
        }
        if shape.max.is_none_or(|max| count.items < max) {
            let step = Step {
                index_max,
                items_max,
                count: &count,
            };
            for (item, next) in step.choices(emission, shape)? {
                let rule = if let Some(&rule) = rules.get(&next) {
                    rule
                } else {
                    let rule = emission.rules.reserve()?;
                    rules.insert(next.clone(), rule);
                    open.push_back(next);
                    rule
                };
                others.push(&[Token::Rule(emission.rule_of(item)?), Token::Rule(rule)]);
            }
        }
        emission.next_of(count.index == 0, &others, &mut all)?;
        emission.rules.define_choices(rules[&count], &all);
    }
    Ok(rules[&start])
}

struct Step<'c> {
    index_max: u32,
    items_max: u32,
    count: &'c Count,
}

impl Step<'_> {
    /// What the next item may be, and where the array then stands.
    ///
    /// # Errors
    /// Too many of them.
    fn choices(&self, emission: &mut Emission, shape: &ArrayShape) -> Result<Vec<(ExprId, Count)>> {
        let index = self.count.index;
        let counts = |(place, tally): &(usize, &Tally)| {
            index >= tally.from && (tally.max.is_some() || self.count.fits[*place] < tally.min)
        };
        let mut choices = vec![(
            shape.item(index as usize),
            Count {
                index: (index + 1).min(self.index_max),
                items: (self.count.items + 1).min(self.items_max),
                fits: self.count.fits.clone(),
            },
        )];
        let push = |item: ExprId, next: Count, all: &mut Vec<(ExprId, Count)>| {
            if item != NOTHING {
                all.push((item, next));
            }
        };
        for (place, tally) in shape.tallies.iter().enumerate().filter(counts) {
            let fits = self.count.fits[place];
            let mut split = Vec::with_capacity(choices.len() * 2);
            for (item, next) in choices {
                if tally.max.is_none_or(|max| fits < max) {
                    let mut counted = next.clone();
                    counted.fits[place] = fits + 1;
                    push(
                        emission.lowering.both(item, tally.expr),
                        counted,
                        &mut split,
                    );
                }
                // Without a greatest count, an item that fits need not be counted.
                let other = if tally.max.is_none() {
                    item
                } else {
                    let not = emission.lowering.expressions.not(tally.expr);
                    emission.lowering.both(item, not)
                };
                push(other, next, &mut split);
            }
            // One is a step, two are a choice of which each goes on with all that follow.
            let apart = split.len().saturating_sub(1);
            let cost = 2 + shape.tallies.len() / COUNTS_OF_A_CHOICE;
            emission.lowering.spend(cost * apart)?;
            choices = split;
        }
        Ok(choices)
    }
}

#[cfg(test)]
mod tests {
    use crate::grammar::compile;
    use crate::grammar::limits::Options;

    #[test]
    fn items_that_fit_several_schemas_that_are_counted_count_as_work() {
        let list = |one: &dyn Fn(char) -> String, last: char| {
            let all: Vec<String> = ('a'..=last).map(one).collect();
            let schema = format!(r#"{{"allOf": [{}]}}"#, all.join(","));
            compile(schema.as_bytes(), &Options::default())
        };
        let overlaps = |one| format!(r#"{{"contains": {{"type": "string", "pattern": "{one}"}}}}"#);
        let apart = |one| format!(r#"{{"contains": {{"const": "{one}"}}}}"#);
        assert!(list(&overlaps, 'e').is_ok() && list(&apart, 'h').is_ok());
        let refusal = list(&overlaps, 'h').unwrap_err();
        assert!(refusal.reason.contains("alternatives_max"), "{refusal}");
    }
}
