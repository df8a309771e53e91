//! What a grammar amounts to with its counters written out, and how much of that an engine bears.

use crate::grammar::ebnf::{Expression, Grammar};
use crate::grammar::refusal::{Refusal, Result};

/// Characters of literals and classes, with counters written out.
const SIZE_MAX: u64 = 20_000;
/// The same of classes of more than a few characters: each costs an engine up to 40 ms.
const WIDE_MAX: u64 = 64;
/// Characters of a class that is not wide; ASCII has about a hundred.
const NARROW_MAX: u32 = 128;
/// Rules followed by one another inside a counter.
const NESTED_MAX: usize = 32;

/// What a part of a grammar amounts to.
#[derive(Clone, Copy, Default)]
struct Weight {
    size: u64,
    wide: u64,
}

impl Weight {
    fn plus(self, other: Self) -> Self {
        Self {
            size: self.size.saturating_add(other.size),
            wide: self.wide.saturating_add(other.wide),
        }
    }

    fn times(self, count: u64) -> Self {
        Self {
            size: self.size.saturating_mul(count),
            wide: self.wide.saturating_mul(count),
        }
    }
}

/// Refuses a grammar of more weight than an engine bears.
///
/// # Errors
/// Too large with the bound.
pub(super) fn refuse_heavy(grammar: &Grammar) -> Result<()> {
    let mut whole = Weight::default();
    for body in &grammar.bodies {
        whole = whole.plus(weight(grammar, body, false, 0)?);
        within(whole)?;
    }
    Ok(())
}

fn within(weight: Weight) -> Result<()> {
    if weight.size > SIZE_MAX {
        return Err(Refusal::too_large("grammar_characters_max", 20_000));
    }
    if weight.wide > WIDE_MAX {
        return Err(Refusal::too_large("grammar_wide_classes_max", 64));
    }
    Ok(())
}

/// The weight of an expression; rules count where they stand inside a counter, otherwise once.
fn weight(grammar: &Grammar, of: &Expression, is_counted: bool, depth: usize) -> Result<Weight> {
    let sum = |all: &[Expression]| {
        all.iter().try_fold(Weight::default(), |sum, each| {
            let sum = sum.plus(weight(grammar, each, is_counted, depth)?);
            // A sum past the bound ends the walk, so that shared rules are not walked for ever.
            within(sum).map(|()| sum)
        })
    };
    let found = match of {
        Expression::Literal(text) => Weight {
            size: text.len() as u64,
            wide: 0,
        },
        Expression::Class(set) => {
            let count = set.ranges().iter().map(|(low, high)| high - low + 1);
            Weight {
                size: set.ranges().len() as u64,
                wide: u64::from(count.sum::<u32>() > NARROW_MAX),
            }
        }
        Expression::Rule(_) if !is_counted => Weight { size: 1, wide: 0 },
        Expression::Rule(_) if depth >= NESTED_MAX => {
            return Err(Refusal::too_large("grammar_nested_max", NESTED_MAX)
                .hint("a counted rule refers to itself, or to a long chain of rules"));
        }
        Expression::Rule(place) => {
            let body = weight(grammar, &grammar.bodies[*place], true, depth + 1)?;
            body.plus(Weight { size: 1, wide: 0 })
        }
        Expression::Sequence(all) | Expression::Choice(all) => sum(all)?,
        Expression::Repeat(inner, 0 | 1, None) => weight(grammar, inner, is_counted, depth)?,
        Expression::Repeat(inner, min, max) => {
            let count = u64::from(max.unwrap_or(min.saturating_add(1)));
            let once = weight(grammar, inner, is_counted || count > 1, depth)?;
            once.times(count.max(1))
        }
    };
    // What takes a step to weigh weighs something: so the walk ends at the bound.
    let size = found.size.max(1);
    Ok(Weight { size, ..found })
}
