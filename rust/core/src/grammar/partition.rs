//! Sets of strings cut into parts that share no string, by their first or last character.

use super::charset::CharSet;
use super::emission::Emission;
use super::nondeterministic::Term;
use super::refusal::Result;
use super::texts::{self, TextsId};

/// By which character strings are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The first.
    First,
    /// The last.
    Last,
}

/// Characters, the frequent ones spread over all places.
const CHARACTERS: &str = "aetionshrdlcumwfgypbvkjxqzAETIONSHRDLCUMWFGYPBVKJXQZ0123456789_";

impl Emission<'_, '_> {
    /// At most `count` parts of a set, none of them empty, that together are the set.
    pub(super) fn parts_of(
        &mut self,
        set: TextsId,
        count: usize,
        side: Side,
    ) -> Result<Vec<TextsId>> {
        let count = count.max(1);
        let mut parts = Vec::with_capacity(count);
        let mut others = CharSet::all();
        for place in 1..count {
            let mine: String = CHARACTERS.chars().skip(place - 1).step_by(count).collect();
            let mine = CharSet::of(&mine);
            others = others.intersection(&mine.complement());
            parts.push(self.marked_by(set, mine, side)?);
        }
        // The last part takes every other character, and the empty string.
        let taken = self.marked_by(texts::ALL, others.complement(), side)?;
        let rest = self.lowering.texts.not(taken);
        parts.push(self.lowering.texts.and(set, rest));
        parts.retain(|&part| part != texts::NONE && !self.lowering.texts.is_empty(part));
        Ok(parts)
    }

    fn marked_by(&mut self, set: TextsId, character: CharSet, side: Side) -> Result<TextsId> {
        let mut parts = vec![Term::Set(character.into()).into(), Term::anything().into()];
        if side == Side::Last {
            parts.reverse();
        }
        let term = Term::Sequence(parts);
        let work = &self.lowering.work;
        let automaton = term.automaton(work).map_err(|_| work.refusal())?;
        let marked = self.lowering.texts.ready(automaton);
        Ok(self.lowering.texts.and(set, marked))
    }
}
