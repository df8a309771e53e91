//! Free strings of bounded length, as cheap for engines as exactness allows.
//!
//! An engine pays for each state in which any character may come, once, while it loads a grammar:
//! it tries its whole vocabulary there. So what is exact, and what is fast to read, are apart:
//!
//! - The text is counted by rules that name one rule for one character, and hold no characters
//!   of their own. They cost an engine nothing, however many there are.
//! - That rule has a hint that nothing follows it, so that no token is tried beyond one character.
//! - Beside it stands, at each place, a rule for all that may come within a few characters. That
//!   one begins with characters, goes on as the exact rules do, and tells the engine which of the
//!   longer tokens may come. There are as many of those as [`REACHES`].
//!
//! So an engine is never offered a token that ends a text too long, nor one of more than
//! [`LONGEST`] characters; near the greatest length it is offered somewhat shorter ones.

use super::array_rules::Runs;
use super::emission::Emission;
use super::escapes::special;
use super::hash::Map;
use super::refusal::Result;
use super::rules::{Piece, RuleId};

/// Characters of the longest token that is offered: one in a thousand is longer.
const LONGEST: u32 = 16;
/// How far tokens may reach, longest first; what is offered near the greatest length.
const REACHES: [u32; 4] = [LONGEST, 8, 4, 2];

/// The rules that count characters, shared by all strings of a grammar.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// By least and greatest count: so many characters and the closing mark, one by one.
    exact: Map<(u32, u32), RuleId>,
    /// The same, in one token or more.
    fast: Map<(u32, u32), RuleId>,
    /// So many characters, in one token or more.
    runs: Map<u32, RuleId>,
    /// At most so many characters and the closing mark, with all that may be offered.
    offered: Map<u32, RuleId>,
}

impl Emission<'_, '_> {
    /// `min..=max` characters and the closing mark.
    pub(super) fn counted(&mut self, min: u32, max: u32) -> Result<RuleId> {
        let one = self.any_character()?;
        let more = max.saturating_sub(min);
        // By the characters that must come yet.
        let mut rules = vec![self.up_to(more)?];
        for needed in 1..=min {
            let mut all = vec![vec![
                Piece::Rule(one),
                Piece::Rule(rules[needed as usize - 1]),
            ]];
            let left = more.saturating_add(needed);
            let reach = REACHES.into_iter().find(|&reach| reach <= left);
            if let Some(reach) = reach.filter(|_| !self.lowering.options.deterministic) {
                all.push(if needed == 1 {
                    vec![Piece::Rule(self.fast(1, reach)?)]
                } else if needed <= reach {
                    // Texts that are longer than needed are among those that are long enough: one
                    // rule serves the whole beginning of a string.
                    vec![Piece::Rule(self.fast(min.min(reach), reach)?)]
                } else {
                    let rest = rules[(needed - reach) as usize];
                    vec![Piece::Rule(self.run(reach)?), Piece::Rule(rest)]
                });
            }
            rules.push(self.rules.add(all)?);
        }
        Ok(rules[min as usize])
    }

    /// At most so many characters and the closing mark.
    fn up_to(&mut self, max: u32) -> Result<RuleId> {
        let one = self.any_character()?;
        if max <= LONGEST {
            return self.up_to_longest(max);
        }
        let rest = self.up_to_longest(LONGEST)?;
        let many = Runs::of(one).at_most(self, max - LONGEST)?;
        self.rules
            .add(vec![vec![Piece::Rule(many), Piece::Rule(rest)]])
    }

    fn up_to_longest(&mut self, max: u32) -> Result<RuleId> {
        if let Some(&known) = self.counters.offered.get(&max) {
            return Ok(known);
        }
        let (one, close) = (self.any_character()?, self.close()?);
        let mut all = vec![vec![Piece::Rule(close)]];
        if max > 0 {
            let less = self.up_to_longest(max - 1)?;
            all.push(vec![Piece::Rule(one), Piece::Rule(less)]);
        }
        let reach = REACHES.into_iter().find(|&reach| reach <= max);
        if let Some(reach) = reach.filter(|_| !self.lowering.options.deterministic) {
            all.push(vec![Piece::Rule(self.fast(1, reach)?)]);
        }
        let rule = self.rules.add(all)?;
        self.counters.offered.insert(max, rule);
        Ok(rule)
    }

    /// `min..=max` characters and the closing mark, of which the first is at least one.
    fn fast(&mut self, min: u32, max: u32) -> Result<RuleId> {
        if let Some(&known) = self.counters.fast.get(&(min, max)) {
            return Ok(known);
        }
        let rest = self.exact(min.saturating_sub(1), max - 1)?;
        let all = self.first_and(rest)?;
        let rule = self.rules.reserve()?;
        self.rules.define_closing(rule, all);
        self.counters.fast.insert((min, max), rule);
        Ok(rule)
    }

    /// `min..=max` characters and the closing mark, one by one.
    fn exact(&mut self, min: u32, max: u32) -> Result<RuleId> {
        if let Some(&known) = self.counters.exact.get(&(min, max)) {
            return Ok(known);
        }
        let (one, close) = (self.any_character()?, self.close()?);
        let mut all = Vec::new();
        if min == 0 {
            all.push(vec![Piece::Rule(close)]);
        }
        if max > 0 {
            let less = self.exact(min.saturating_sub(1), max - 1)?;
            all.push(vec![Piece::Rule(one), Piece::Rule(less)]);
        }
        let rule = self.rules.add(all)?;
        self.counters.exact.insert((min, max), rule);
        Ok(rule)
    }

    /// Exactly so many characters, in one token or more.
    fn run(&mut self, length: u32) -> Result<RuleId> {
        if let Some(&known) = self.counters.runs.get(&length) {
            return Ok(known);
        }
        let one = self.any_character()?;
        let rest = self.rules.add(vec![
            std::iter::repeat_n(Piece::Rule(one), length as usize - 1).collect(),
        ])?;
        let all = self.first_and(rest)?;
        let rule = self.rules.reserve()?;
        self.rules.define_alone(rule, all);
        self.counters.runs.insert(length, rule);
        Ok(rule)
    }

    /// A character that stands in the rule itself, and what follows.
    fn first_and(&mut self, rest: RuleId) -> Result<Vec<Vec<Piece>>> {
        let escaped = self.escaped()?;
        let mark = Piece::Text("\\".into());
        Ok(vec![
            vec![Piece::Class(special().complement()), Piece::Rule(rest)],
            vec![mark, Piece::Rule(escaped), Piece::Rule(rest)],
        ])
    }
}
