//! Sets of strings cut into parts that share no string, by their first character.

use super::charset::CharSet;
use super::emission::Emission;
use super::nondeterministic::Term;
use super::refusal::{Refusal, Result};
use super::texts::{self, TextsId};

/// First characters, the frequent ones spread over all places.
const FIRSTS: &str = "aetionshrdlcumwfgypbvkjxqzAETIONSHRDLCUMWFGYPBVKJXQZ0123456789_";

impl Emission<'_, '_> {
    /// At most `count` parts of a set, none of them empty, that together are the set.
    pub(super) fn parts_of(&mut self, set: TextsId, count: usize) -> Result<Vec<TextsId>> {
        let count = count.max(1);
        let mut parts = Vec::with_capacity(count);
        let mut others = CharSet::all();
        for place in 1..count {
            let mine: String = FIRSTS.chars().skip(place - 1).step_by(count).collect();
            let mine = CharSet::of(&mine);
            others = others.intersection(&mine.complement());
            parts.push(self.begins_with(set, mine)?);
        }
        // The last part takes every other first character, and the empty string.
        let taken = self.begins_with(texts::ALL, others.complement())?;
        let rest = self.lowering.texts.not(taken);
        parts.push(self.lowering.texts.and(set, rest));
        parts.retain(|&part| part != texts::NONE && !self.lowering.texts.is_empty(part));
        Ok(parts)
    }

    fn begins_with(&mut self, set: TextsId, first: CharSet) -> Result<TextsId> {
        let states_max = self.lowering.options.states_max;
        let term = Term::Sequence(vec![Term::Set(first).into(), Term::anything().into()]);
        let automaton = term
            .automaton(states_max)
            .map_err(|_| Refusal::too_large("states_max", states_max))?;
        let prefix = self.lowering.texts.ready(automaton);
        Ok(self.lowering.texts.and(set, prefix))
    }
}
