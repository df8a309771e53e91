//! Free strings of bounded length, as cheap for engines as exactness allows.
//!
//! An engine pays for each state in which any character may come, once, while it loads a grammar.
//! So all bounded strings of a schema share one countdown. Longer ones begin with full chunks,
//! which share theirs. A token that crosses the end of a chunk is slow to decide; but at each such
//! place the string may as well be in its countdown already, which is long enough to decide it.

use super::array_rules::Runs;
use super::emission::Emission;
use super::refusal::Result;
use super::rules::{Piece, RuleId};
use super::string_rules::special;

/// Characters of a chunk.
const CHUNK: u32 = 8;
/// Characters left of the countdown at the end of a chunk, at least: one token in a thousand is
/// longer, and each more costs an engine another wide state.
const SLACK: u32 = 16;
/// Longest string that is counted without chunks; the countdown has as many states.
const WHOLE_MAX: u32 = 2 * CHUNK + SLACK - 2;

impl Emission<'_, '_> {
    /// `min..=max` characters and the closing mark.
    pub(super) fn counted(&mut self, min: u32, max: u32) -> Result<RuleId> {
        let mut rule = self.up_to(max.saturating_sub(min))?;
        for _ in 0..min {
            let all = self.one_more(rule)?;
            rule = self.rules.add(all)?;
        }
        Ok(rule)
    }

    /// At most so many characters and the closing mark.
    fn up_to(&mut self, max: u32) -> Result<RuleId> {
        if max <= WHOLE_MAX {
            return self.countdown(max);
        }
        let chunks = (max - (CHUNK + SLACK - 1)) / CHUNK;
        let rest = self.countdown(max - chunks * CHUNK)?;
        let unit = self.chunk()?;
        let many = Runs::of(unit).at_most(self, chunks)?;
        self.rules
            .add(vec![vec![Piece::Rule(many), Piece::Rule(rest)]])
    }

    fn countdown(&mut self, max: u32) -> Result<RuleId> {
        while self.countdown.len() <= max as usize {
            let mut all = vec![vec![Piece::Text("\"".into())]];
            if let Some(&less) = self.countdown.last() {
                all.extend(self.one_more(less)?);
            }
            let rule = self.rules.add(all)?;
            self.countdown.push(rule);
        }
        Ok(self.countdown[max as usize])
    }

    /// One character, then a rule.
    fn one_more(&mut self, then: RuleId) -> Result<Vec<Vec<Piece>>> {
        let any_escape = self.escapes()?;
        Ok(vec![
            vec![Piece::Class(special().complement()), Piece::Rule(then)],
            vec![Piece::Rule(any_escape), Piece::Rule(then)],
        ])
    }

    /// Exactly a chunk of characters.
    fn chunk(&mut self) -> Result<RuleId> {
        if let Some(rule) = self.chunk {
            return Ok(rule);
        }
        let any_escape = self.escapes()?;
        let plain = Piece::Class(special().complement());
        let mut rule = self
            .rules
            .add(vec![vec![plain], vec![Piece::Rule(any_escape)]])?;
        for _ in 1..CHUNK {
            let all = self.one_more(rule)?;
            rule = self.rules.add(all)?;
        }
        self.chunk = Some(rule);
        Ok(rule)
    }
}
