//! The automata of sets of strings, each made when it is first asked for.

use std::rc::Rc;
use std::sync::Arc;

use super::automaton::Automaton;
use super::formats;
use super::pattern_search::texts_with_wide_dots;
use super::refusal::Result;
use super::texts::{ALL, STEPS_OF_AN_ENTRY, TextSet, Texts, TextsId};

impl Texts {
    /// Keeps the texts in which any reader finds a pattern: what is outside is surely no match.
    pub fn note_outer(&mut self, id: TextsId, pattern: &str) {
        if !pattern.contains('.') || self.outer.contains_key(&id) {
            return;
        }
        let narrow = self.automata[id as usize]
            .as_ref()
            .map(|made| made.complement());
        let wide = texts_with_wide_dots(pattern, &self.work).map(|made| made.complement());
        let outside = match (narrow, wide) {
            (Some(narrow), Ok(wide)) => narrow.intersection(&wide, &self.work).ok(),
            _ => None,
        };
        let outer = outside.map_or_else(|| Automaton::constant(true), |made| made.complement());
        self.outer.insert(id, Arc::new(outer));
    }

    /// The automaton of what may be in a pattern, format or finished automaton.
    pub fn outer_automaton(&self, id: TextsId) -> Option<Arc<Automaton>> {
        match self.get(id) {
            TextSet::Format(name) => Some(formats::known(name)?.outer_automaton()),
            _ => match self.outer.get(&id) {
                Some(outer) => Some(Arc::clone(outer)),
                None => self.automata[id as usize].clone(),
            },
        }
    }

    /// The automaton of a set.
    ///
    /// # Errors
    /// Too large past the limit of states.
    pub fn automaton(&mut self, id: TextsId) -> Result<Arc<Automaton>> {
        if let Some(made) = &self.automata[id as usize] {
            return Ok(Arc::clone(made));
        }
        self.work.check()?;
        let made = match self.get(id).clone() {
            TextSet::Finite(texts) => Arc::new(self.of_literals(&texts)?),
            TextSet::AllBut(texts) => Arc::new(self.of_literals(&texts)?.complement()),
            TextSet::Length(min, max) => {
                if max.unwrap_or(min) as usize > self.work.states_max {
                    return Err(self.work.refusal());
                }
                Arc::new(Automaton::of_length(min, max))
            }
            TextSet::Not(inner) => Arc::new(match self.outer_automaton(inner) {
                Some(outer) => outer.complement(),
                None => self.automaton(inner)?.complement(),
            }),
            TextSet::Both(parts) => self.product(&parts, false)?,
            TextSet::Either(parts) => self.product(&parts, true)?,
            // Patterns and formats come with theirs.
            TextSet::Pattern(_) | TextSet::Format(_) | TextSet::Ready(_) => {
                Arc::new(Automaton::constant(false))
            }
        };
        self.work.count(STEPS_OF_AN_ENTRY * made.len());
        self.automata[id as usize] = Some(Arc::clone(&made));
        Ok(made)
    }

    fn of_literals(&self, texts: &[Rc<str>]) -> Result<Automaton> {
        let made = Automaton::of_texts(texts.iter().map(|text| &**text), &self.work);
        Ok(made.map_err(|_| self.work.refusal())?.minimal())
    }

    /// The automaton of all sets together, or of any of them, by De Morgan's law.
    fn product(&mut self, parts: &[TextsId], any: bool) -> Result<Arc<Automaton>> {
        let turned = |made: &Automaton| if any { made.complement() } else { made.clone() };
        let mut product = turned(&*self.automaton(parts[0])?);
        for &part in &parts[1..] {
            let other = turned(&*self.automaton(part)?);
            self.work.count(STEPS_OF_AN_ENTRY * other.len());
            product = product
                .intersection(&other, &self.work)
                .map_err(|_| self.work.refusal())?;
        }
        Ok(Arc::new(turned(&product)))
    }

    /// Whether the set is empty; `false` too where that would take too long to know.
    pub fn is_empty(&mut self, id: TextsId) -> bool {
        if self.is_partial(id) {
            return false;
        }
        match self.get(id) {
            TextSet::Finite(texts) => texts.is_empty(),
            TextSet::AllBut(_) | TextSet::Length(..) => false,
            TextSet::Both(parts) => {
                let long =
                    |set: &TextSet| matches!(set, TextSet::Length(_, Some(max)) if *max > 64);
                let parts = Rc::clone(parts);
                let short: Vec<TextsId> = parts
                    .iter()
                    .copied()
                    .filter(|&part| !long(self.get(part)))
                    .collect();
                if short.len() == parts.len() {
                    return self.automaton(id).is_ok_and(|made| made.is_none());
                }
                let rest = short.iter().fold(ALL, |all, &part| self.and(all, part));
                self.is_empty(rest)
            }
            _ => self.automaton(id).is_ok_and(|made| made.is_none()),
        }
    }
}
