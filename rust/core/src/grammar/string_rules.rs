//! Strings as rules: literals, one shared rule for the free ones, a rule a state for the rest.
//!
//! Characters are written in one way only: as they are, or with the escape that JSON forces.
//! So no name can be spelt twice, and no surrogate or control character slips through.

use std::sync::Arc;

use super::automaton::Automaton;
use super::choices::Choices;
use super::emission::Emission;
use super::escapes::{plain, quoted};
use super::object_shapes::least;
use super::refusal::Result;
use super::rules::{Piece, RuleId, Token};
use super::state_rules::Ending;
use super::texts::{self, TextSet, TextsId};

/// Longest `maxLength` of otherwise free strings that is counted exactly; see [`counted_strings`].
///
/// [`counted_strings`]: super::counted_strings
const COUNTED_MAX: u32 = 64;
/// Longest `minLength` of otherwise free strings that is written character by character.
const AT_LEAST_MAX: u32 = 500;
/// States that a counted pattern may have before its greatest length is lowered: sound, and long
/// enough for what is written by hand.
const COUNTED_STATES_MAX: usize = 1_500;

impl Emission<'_, '_> {
    /// Adds the alternatives for the JSON strings of a set.
    pub(super) fn strings(&mut self, set: TextsId, all: &mut Choices) -> Result<()> {
        if let TextSet::Finite(texts) = self.lowering.texts.get(set) {
            for text in texts.iter() {
                all.push(&[self.rules.text_token(quoted(text))]);
            }
            return Ok(());
        }
        all.push(&[Token::Rule(self.string_rule(set)?)]);
        Ok(())
    }

    /// The rule for the JSON strings of a set, quotation marks included.
    pub(super) fn string_rule(&mut self, set: TextsId) -> Result<RuleId> {
        if let Some(&rule) = self.text_rules.get(&set) {
            return Ok(rule);
        }
        let rule = match self.lowering.texts.get(set).clone() {
            TextSet::Finite(_) => {
                let mut all = Choices::default();
                self.strings(set, &mut all)?;
                self.rules.add_choices(&all)?
            }
            TextSet::AllBut(words) if self.is_shared() => {
                if words.is_empty() {
                    self.any_string()?
                } else {
                    self.all_but(&words)?
                }
            }
            TextSet::Length(min, None) if min <= AT_LEAST_MAX && self.is_shared() => {
                self.at_least(min)?
            }
            _ => {
                let inner = self.behind_mark_of(set)?;
                let mark = Piece::Text("\"".into());
                self.rules.add([[mark, Piece::Rule(inner)]])?
            }
        };
        self.text_rules.insert(set, rule);
        Ok(rule)
    }

    /// Whether free strings may be read in several ways, which share rules.
    pub(super) fn is_shared(&self) -> bool {
        !self.lowering.options.deterministic
    }

    /// The rule for what follows the opening mark in a string of a set.
    fn behind_mark_of(&mut self, set: TextsId) -> Result<RuleId> {
        if set == texts::ALL {
            return self.any_tail();
        }
        if let TextSet::Length(min, Some(max)) = *self.lowering.texts.get(set)
            && min <= COUNTED_MAX
        {
            return self.counted(min, max);
        }
        if let Some(rule) = self.long_bounded(set)? {
            return Ok(rule);
        }
        let automaton = self.automaton_of(set)?;
        self.states(&automaton, Ending::Quote)
    }

    /// The automaton of a set; a greatest length is left out where no text is longer anyway, and
    /// lowered where counting up to it would take too many states.
    pub(super) fn automaton_of(&mut self, set: TextsId) -> Result<Arc<Automaton>> {
        let (rest, bound) = self.without_bound(set);
        let automaton = self.lowering.texts.automaton(rest)?;
        let Some(max) = bound else {
            return Ok(automaton);
        };
        if !self.exceeds(&automaton, max)? {
            return Ok(automaton);
        }
        let affordable = COUNTED_STATES_MAX / automaton.len();
        let max = max.min(u32::try_from(affordable.max(COUNTED_MAX as usize)).unwrap_or(max));
        let length = self.lowering.texts.length(0, Some(max));
        let bounded = self.lowering.texts.and(rest, length);
        self.lowering.texts.automaton(bounded)
    }

    /// A set without its greatest length, and that.
    fn without_bound(&mut self, set: TextsId) -> (TextsId, Option<u32>) {
        let parts = match self.lowering.texts.get(set) {
            TextSet::Both(parts) => parts.to_vec(),
            _ => vec![set],
        };
        let (mut rest, mut bound) = (texts::ALL, None::<u32>);
        for part in parts {
            let part = match *self.lowering.texts.get(part) {
                TextSet::Length(min, Some(max)) => {
                    bound = least(bound, Some(max));
                    self.lowering.texts.length(min, None)
                }
                _ => part,
            };
            rest = self.lowering.texts.and(rest, part);
        }
        (rest, bound)
    }

    /// The rule of a set behind the opening mark, where its greatest length is too long to count.
    fn long_bounded(&mut self, set: TextsId) -> Result<Option<RuleId>> {
        let (rest, Some(max)) = self.without_bound(set) else {
            return Ok(None);
        };
        let automaton = self.lowering.texts.automaton(rest)?;
        if automaton.len() * max as usize <= COUNTED_STATES_MAX || !self.exceeds(&automaton, max)? {
            return Ok(None);
        }
        self.bounded_runs(&automaton, max)
    }

    /// Whether some text of a set is longer than that.
    fn exceeds(&self, automaton: &Automaton, max: u32) -> Result<bool> {
        self.lowering.work.count(automaton.edge_steps());
        self.lowering.work.check()?;
        Ok(longest(automaton).is_none_or(|longest| longest > max as usize))
    }

    /// The rule for the rest of a free string, closing mark included.
    pub(super) fn any_tail(&mut self) -> Result<RuleId> {
        if !self.is_shared() {
            return self.plain_tail();
        }
        self.free_string()
    }

    /// The same, a character at a time.
    pub(super) fn plain_tail(&mut self) -> Result<RuleId> {
        if let Some(rule) = self.plain_tail {
            return Ok(rule);
        }
        let rule = self.rules.reserve()?;
        let any_escape = self.escapes()?;
        self.plain_tail = Some(rule);
        self.rules.define_closing(
            rule,
            vec![
                vec![Piece::Text("\"".into())],
                vec![Piece::Class(plain().clone()), Piece::Rule(rule)],
                vec![Piece::Rule(any_escape), Piece::Rule(rule)],
            ],
        );
        Ok(rule)
    }

    /// The mark that ends a string. A rule that names another one is not written where it is used
    /// by an engine, which would try all that follows its first letters there too.
    pub(super) fn close(&mut self) -> Result<RuleId> {
        if let Some(rule) = self.close {
            return Ok(rule);
        }
        let rule = self.rules.reserve()?;
        let mut all = vec![vec![Piece::Text("\"".into())]];
        if self.is_shared() {
            all.push(vec![Piece::Rule(self.never()?)]);
        }
        self.rules.define_closing(rule, all);
        self.close = Some(rule);
        Ok(rule)
    }

    /// What follows the mark of an escape; for an engine no token goes beyond it.
    pub(super) fn escaped(&mut self) -> Result<RuleId> {
        if let Some(rule) = self.escaped {
            return Ok(rule);
        }
        let rule = self
            .rules
            .verbatim(r#"([\u0022\\bfnrt] | "u00" [01] [0-9a-f]) (= [\u0001])"#)?;
        self.escaped = Some(rule);
        Ok(rule)
    }

    pub(super) fn escapes(&mut self) -> Result<RuleId> {
        if let Some(rule) = self.escapes {
            return Ok(rule);
        }
        let rule = self
            .rules
            .verbatim(r#""\\" [\u0022\\bfnrt] | "\\u00" [01] [0-9a-f]"#)?;
        self.escapes = Some(rule);
        Ok(rule)
    }
}

/// The length of the longest text; none where there is no longest.
fn longest(automaton: &Automaton) -> Option<usize> {
    let live = automaton.live();
    let count = automaton.len();
    let mut length: Vec<Option<usize>> = vec![None; count];
    let mut begun = vec![false; count];
    let mut stack = vec![(0_u32, false)];
    while let Some((state, leaving)) = stack.pop() {
        let at = state as usize;
        let targets = automaton.targets(state).iter().copied();
        let targets = targets.filter(|&target| live[target as usize]);
        if leaving {
            let mut best = 0;
            for target in targets {
                // A target without a length is still open: a loop.
                best = best.max(length[target as usize]? + 1);
            }
            length[at] = Some(best);
        } else if !begun[at] {
            begun[at] = true;
            stack.push((state, true));
            stack.extend(targets.map(|target| (target, false)));
        } else if length[at].is_none() {
            return None;
        }
    }
    length[0]
}
