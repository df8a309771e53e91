//! Regular terms without assertions, as a nondeterministic automaton.
//!
//! Source: K. Thompson, Regular expression search algorithm, 1968.

use std::rc::Rc;

use super::automaton::{Automaton, TooManyStates};
use super::charset::CharSet;
use super::subset_construction::determined;
use super::work::Work;

/// A regular term; [`Term::Ready`] embeds a set that was decided before.
#[derive(Clone, Debug)]
pub enum Term {
    /// Nothing at all.
    Never,
    /// One character of a set, which may be large and is shared by all repetitions.
    Set(Rc<CharSet>),
    /// One after the other.
    Sequence(Vec<Rc<Term>>),
    /// Any of them.
    Any(Vec<Rc<Term>>),
    /// `min..=max` times.
    Repeat(Rc<Term>, u32, Option<u32>),
    /// A finished automaton.
    Ready(Rc<Automaton>),
}

impl Term {
    /// Any text.
    pub fn anything() -> Self {
        Self::Repeat(Rc::new(Self::Set(CharSet::all().into())), 0, None)
    }

    /// Whether the empty text is in the term.
    pub fn is_nullable(&self) -> bool {
        match self {
            Self::Never | Self::Set(_) => false,
            Self::Sequence(parts) => parts.iter().all(|part| part.is_nullable()),
            Self::Any(parts) => parts.iter().any(|part| part.is_nullable()),
            Self::Repeat(inner, min, _) => *min == 0 || inner.is_nullable(),
            Self::Ready(automaton) => automaton.accepts_at(0),
        }
    }

    /// How many states it becomes before it is made deterministic.
    fn states(&self) -> usize {
        let sum = |parts: &[Rc<Self>], own: usize| {
            let each = parts.iter().map(|part| part.states().saturating_add(own));
            each.fold(0, usize::saturating_add)
        };
        match self {
            Self::Never | Self::Set(_) => 0,
            Self::Sequence(parts) => sum(parts, 1),
            Self::Any(parts) => sum(parts, 2),
            Self::Repeat(inner, min, max) => {
                let inner = inner.states().saturating_add(1);
                let times = max.map_or(min.saturating_add(1), |max| max.max(*min));
                inner.saturating_mul(times as usize)
            }
            Self::Ready(automaton) => automaton.len(),
        }
    }

    /// The minimal automaton of the term.
    ///
    /// # Errors
    /// [`TooManyStates`] where a construction passes so many, or the second takes too long.
    pub fn automaton(&self, work: &Work) -> Result<Automaton, TooManyStates> {
        if let Self::Ready(automaton) = self {
            return Ok((**automaton).clone());
        }
        let mut machine = Machine {
            states: Vec::new(),
            states_max: work.states_max.saturating_mul(8),
        };
        if self.states() > machine.states_max {
            return Err(TooManyStates);
        }
        let start = machine.fresh()?;
        let end = machine.fresh()?;
        machine.add(self, start, end)?;
        determined(&machine, start, end, work)
    }
}

/// A state; it leads to others in silence too.
#[derive(Default)]
pub struct State {
    silent: Vec<u32>,
    /// Where characters lead.
    pub edges: Vec<(Rc<CharSet>, u32)>,
}

/// A nondeterministic automaton.
pub struct Machine {
    /// By number.
    pub states: Vec<State>,
    states_max: usize,
}

impl Machine {
    fn fresh(&mut self) -> Result<u32, TooManyStates> {
        if self.states.len() >= self.states_max {
            return Err(TooManyStates);
        }
        let id = u32::try_from(self.states.len()).map_err(|_| TooManyStates)?;
        self.states.push(State::default());
        Ok(id)
    }

    fn silent(&mut self, from: u32, to: u32) {
        self.states[from as usize].silent.push(to);
    }

    fn add(&mut self, term: &Term, from: u32, to: u32) -> Result<(), TooManyStates> {
        match term {
            Term::Never => {}
            Term::Set(set) => self.states[from as usize].edges.push((set.clone(), to)),
            Term::Sequence(parts) => {
                let mut at = from;
                for part in parts {
                    let next = self.fresh()?;
                    self.add(part, at, next)?;
                    at = next;
                }
                self.silent(at, to);
            }
            Term::Any(parts) => {
                for part in parts {
                    let (enter, leave) = (self.fresh()?, self.fresh()?);
                    self.silent(from, enter);
                    self.add(part, enter, leave)?;
                    self.silent(leave, to);
                }
            }
            Term::Repeat(inner, min, max) => self.add_repeat(inner, (*min, *max), from, to)?,
            Term::Ready(automaton) => self.add_ready(automaton, from, to)?,
        }
        Ok(())
    }

    fn add_repeat(
        &mut self,
        inner: &Term,
        (min, max): (u32, Option<u32>),
        from: u32,
        to: u32,
    ) -> Result<(), TooManyStates> {
        let mut at = from;
        for _ in 0..min {
            let next = self.fresh()?;
            self.add(inner, at, next)?;
            at = next;
        }
        let Some(max) = max else {
            let hub = self.fresh()?;
            let back = self.fresh()?;
            self.silent(at, hub);
            self.add(inner, hub, back)?;
            self.silent(back, hub);
            self.silent(hub, to);
            return Ok(());
        };
        for _ in min..max {
            let next = self.fresh()?;
            self.silent(at, to);
            self.add(inner, at, next)?;
            at = next;
        }
        self.silent(at, to);
        Ok(())
    }

    fn add_ready(&mut self, ready: &Automaton, from: u32, to: u32) -> Result<(), TooManyStates> {
        let live = ready.live();
        let base = u32::try_from(self.states.len()).map_err(|_| TooManyStates)?;
        for _ in 0..ready.len() {
            self.fresh()?;
        }
        self.silent(from, base);
        for state in 0..ready.len() {
            let id = u32::try_from(state).map_err(|_| TooManyStates)?;
            let kept = ready
                .edges(id)
                .into_iter()
                .filter(|edge| live[edge.1 as usize]);
            let edges = kept
                .map(|(set, target)| (set.into(), base + target))
                .collect();
            self.states[(base + id) as usize].edges = edges;
            if ready.accepts_at(id) {
                self.silent(base + id, to);
            }
        }
        Ok(())
    }

    /// Whether any character leads from a state back to it.
    pub fn stays(&self, state: u32) -> bool {
        self.states[state as usize].edges.iter().any(|(set, to)| {
            set.is_all() && (*to == state || self.states[*to as usize].silent == [state])
        })
    }

    /// The states that are reached from one in silence and do something, itself included.
    pub fn closed(&self, state: u32, end: u32, seen: &mut [bool]) -> Rc<[u32]> {
        let mut all = vec![state];
        seen[state as usize] = true;
        let mut at = 0;
        while at < all.len() {
            for &target in &self.states[all[at] as usize].silent {
                if !std::mem::replace(&mut seen[target as usize], true) {
                    all.push(target);
                }
            }
            at += 1;
        }
        for &state in &all {
            seen[state as usize] = false;
        }
        all.retain(|&state| state == end || !self.states[state as usize].edges.is_empty());
        all.into()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::{CharSet, Term, Work};

    fn nested(times: u32) -> Term {
        let inner = Term::Repeat(Rc::new(Term::Set(CharSet::all().into())), 1, Some(times));
        Term::Repeat(Rc::new(inner), 1, Some(times))
    }

    #[test]
    fn counters_inside_counters_are_built_while_they_are_small() {
        let built = nested(9)
            .automaton(&Work::of_states(1_000))
            .map(|automaton| automaton.len());
        assert!(matches!(built, Ok(83)), "{built:?}");
        assert!(nested(90).automaton(&Work::of_states(100_000)).is_err());
    }
}
