//! Numbers as rules: digits read one by one against bounds and multiples, nothing rounded.
//!
//! Free numbers may have a small exponent; bounded ones are written without. Integers are written
//! without a fraction; other whole numbers may end with `.0`. Zero has no sign.

use super::decimal::Decimal;
use super::emission::Emission;
use super::number_reader::texts_of;
use super::numbers::{Bound, Cell, Numbers};
use super::refusal::Result;
use super::rules::{Piece, RuleId};
use super::state_rules::Ending;

const ANY_NUMBER: &str = r#""-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [+\-]? [0-9] [0-9]?)?"#;
const NOT_NEGATIVE: &str = r#"("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [+\-]? [0-9] [0-9]?)?"#;
const ANY_INTEGER: &str = r#""0" | "-"? [1-9] [0-9]*"#;
const NATURAL: &str = r#""0" | [1-9] [0-9]*"#;
const POSITIVE: &str = "[1-9] [0-9]*";

/// Largest step of whole numbers that may end with `.0`.
const STEP_WITH_POINT_MAX: u64 = 5;
/// Multiples between two bounds that are written out.
const LISTED_MAX: i64 = 10_000;

impl Emission<'_, '_> {
    /// The alternatives for a set of numbers, which may be called integers.
    pub(super) fn numbers(&mut self, numbers: &Numbers, integers: bool) -> Result<Vec<Vec<Piece>>> {
        let mut all = Vec::new();
        if numbers.is_all() {
            let any = self.number_rule(&Cell::default(), integers)?;
            return Ok(vec![vec![Piece::Rule(any)]]);
        }
        for cell in &numbers.0 {
            match cell.single() {
                Some(value) if cell.contains(value) => {
                    all.push(vec![Piece::Text(value.text().into())]);
                }
                Some(_) => {}
                None => all.push(vec![Piece::Rule(self.number_rule(cell, integers)?)]),
            }
        }
        Ok(all)
    }

    fn number_rule(&mut self, cell: &Cell, integers: bool) -> Result<RuleId> {
        let integers = integers || !is_coarse(cell);
        let key = (cell.clone(), integers);
        if let Some(&rule) = self.number_rules.get(&key) {
            return Ok(rule);
        }
        let rule = if let Some(text) = plain(cell).filter(|_| integers) {
            self.rules.verbatim(text)?
        } else {
            let states_max = self.lowering.options.states_max;
            match texts_of(cell, integers, states_max, &self.lowering.work) {
                Ok(automaton) => self.states(&automaton, Ending::Plain)?,
                // Too many remainders to tell apart; few enough numbers may still be listed.
                Err(fault) => {
                    let all = listed(cell).ok_or(fault)?;
                    self.rules
                        .add(all.into_iter().map(|one| [Piece::Text(one.into())]))?
                }
            }
        };
        self.number_rules.insert(key, rule);
        Ok(rule)
    }
}

/// Whether the numbers of a cell are whole, with few remainders to tell apart beside the digits
/// that a number with a fraction may have.
fn is_coarse(cell: &Cell) -> bool {
    let step = cell.step.as_ref().and_then(Decimal::scaled);
    step.is_some_and(|(step, scale)| scale == 0 && step <= STEP_WITH_POINT_MAX)
        && cell.not_steps.is_empty()
}

/// The numbers of a cell between two bounds, if they are few.
fn listed(cell: &Cell) -> Option<Vec<String>> {
    let (step, scale) = cell.step.as_ref()?.scaled()?;
    let step = i64::try_from(step).ok()?;
    let (low, high) = (
        cell.low.as_ref()?.0.floored(scale)?,
        cell.high.as_ref()?.0.floored(scale)?,
    );
    let first = low.div_euclid(step);
    let last = high.div_euclid(step);
    if last.checked_sub(first)? > LISTED_MAX {
        return None;
    }
    let multiples = (first..=last).filter_map(|at| Decimal::from_units(at * step, scale));
    Some(
        multiples
            .filter(|one| cell.contains(one))
            .map(|one| one.text())
            .collect(),
    )
}

/// The expression for a common cell.
fn plain(cell: &Cell) -> Option<&'static str> {
    let one = Decimal::from_integer(1);
    let whole = cell.step.as_ref() == Some(&one);
    let is = |bound: &Bound, value: &Decimal, inclusive: bool| {
        bound
            .as_ref()
            .is_some_and(|bound| bound.0 == *value && bound.1 == inclusive)
    };
    if !cell.not_steps.is_empty() || cell.high.is_some() || !(whole || cell.step.is_none()) {
        return None;
    }
    let zero = Decimal::zero();
    match (&cell.low, whole) {
        (None, true) => Some(ANY_INTEGER),
        (None, false) => Some(ANY_NUMBER),
        (low, true) if is(low, &zero, true) => Some(NATURAL),
        (low, false) if is(low, &zero, true) => Some(NOT_NEGATIVE),
        (low, true) if is(low, &one, true) || is(low, &zero, false) => Some(POSITIVE),
        _ => None,
    }
}
