//! Free strings of bounded length, as cheap for engines as exactness allows.
//!
//! An engine pays for each state in which any character may come, once, while it loads a grammar:
//! it tries its whole vocabulary there. So what is exact, and what is fast to read, are apart:
//!
//! - The text is counted by rules that name one rule for one character, and hold no characters
//!   of their own. They cost an engine nothing, however many there are.
//! - That rule has a hint that nothing follows it, so that no token is tried beyond one character.
//! - Beside it stands, at each place, a rule for the first few of the characters that may come. It
//!   derives nothing, but tells an engine which longer tokens may come, each of which the exact
//!   rules take too. There are as many of those as [`REACHES`].
//! - And one for the last character with the closing mark, as in free strings.
//!
//! So an engine is never offered a token that ends a text too long, nor one of more than
//! [`LONGEST`] characters; near the greatest length it is offered shorter ones.

use super::array_rules::Runs;
use super::charset::CharSet;
use super::emission::Emission;
use super::escapes::plain;
use super::hash::Map;
use super::refusal::Result;
use super::rules::{Piece, RuleId};

/// Characters of the longest token that is offered: one in a thousand is longer.
pub(super) const LONGEST: u32 = 16;
/// How far tokens may reach, longest first; what is offered near the greatest length. An engine
/// tries its vocabulary for each.
const REACHES: [u32; 2] = [LONGEST, SHORTEST_OFFERED];
/// Where fewer characters may come, they are offered one by one.
pub(super) const SHORTEST_OFFERED: u32 = 4;

/// The rules that count characters, shared by all strings of a grammar.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// The first few of so many characters of a set.
    beginnings: Map<(CharSet, u32), RuleId>,
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
            if needed == 1 {
                self.last_in_one(&mut all)?;
            }
            all.extend(self.beginning(&CharSet::all(), more.saturating_add(needed))?);
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
        self.rules.add([[Piece::Rule(many), Piece::Rule(rest)]])
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
        if max > 0 {
            self.last_in_one(&mut all)?;
        }
        all.extend(self.beginning(&CharSet::all(), max)?);
        let rule = self.rules.add(all)?;
        self.counters.offered.insert(max, rule);
        Ok(rule)
    }

    /// Beside the ways on where one character may end the text: the one that does so in one token.
    fn last_in_one(&mut self, all: &mut Vec<Vec<Piece>>) -> Result<()> {
        if !self.lowering.options.deterministic {
            all.push(vec![Piece::Rule(self.last_character()?)]);
        }
        Ok(())
    }

    /// What stands beside the ways on where so many characters of a set may come: the first few of
    /// them, without an end.
    pub(super) fn beginning(&mut self, set: &CharSet, left: u32) -> Result<Option<Vec<Piece>>> {
        let reach = REACHES.into_iter().find(|&reach| reach <= left);
        let raw = set.intersection(plain());
        let is_offered = !self.lowering.options.deterministic && !raw.is_empty();
        let Some(reach) = reach.filter(|_| is_offered) else {
            return Ok(None);
        };
        let key = (set.clone(), reach);
        if let Some(&known) = self.counters.beginnings.get(&key) {
            return Ok(Some(vec![Piece::Rule(known)]));
        }
        // Tokens with escapes are worth their price in free strings alone.
        let one = if *set == CharSet::all() {
            self.any_character()?
        } else {
            self.one_of(&raw)?
        };
        let mut pieces = vec![Piece::Class(raw)];
        pieces.extend((1..reach).map(|_| Piece::Rule(one)));
        pieces.push(Piece::Rule(self.never()?));
        let made = self.rules.reserve()?;
        self.rules.define_alone(made, [pieces]);
        self.counters.beginnings.insert(key, made);
        Ok(Some(vec![Piece::Rule(made)]))
    }
}
