//! Regular terms without assertions, as a nondeterministic automaton, made deterministic.
//!
//! Thompson's construction and the subset construction, both bounded.

use std::rc::Rc;

use super::alphabet::Alphabet;
use super::automaton::{Automaton, TooManyStates};
use super::charset::CharSet;
use super::hash::Map;
use super::work::Work;

/// States that sets of states are put together of, over a whole subset construction: a tenth of a
/// second. Counters inside counters have few sets with thousands of states each.
const MEMBERS_MAX: usize = 4_000_000;

/// Work that it is to tell the characters of a range from others.
const STEPS_OF_A_RANGE: usize = 16;

/// Work that one of them is, and a cell of the table that is made.
const STEPS_OF_A_MEMBER: usize = 4;
const STEPS_OF_A_CELL: usize = 8;

/// States in the lists that are kept to know a set again: a megabyte.
const REACHED_MAX: usize = 250_000;

/// A regular term; [`Term::Ready`] embeds a set that was decided before.
#[derive(Clone, Debug)]
pub enum Term {
    /// Nothing at all.
    Never,
    /// One character of a set.
    Set(CharSet),
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
        Self::Repeat(Rc::new(Self::Set(CharSet::all())), 0, None)
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
        machine.determined(start, end, work)
    }
}

#[derive(Default)]
struct State {
    silent: Vec<u32>,
    edges: Vec<(CharSet, u32)>,
}

struct Machine {
    states: Vec<State>,
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
            let edges = kept.map(|(set, target)| (set, base + target)).collect();
            self.states[(base + id) as usize].edges = edges;
            if ready.accepts_at(id) {
                self.silent(base + id, to);
            }
        }
        Ok(())
    }

    /// The states that are reached from one in silence and do something, itself included.
    fn closed(&self, state: u32, end: u32, seen: &mut [bool]) -> Rc<[u32]> {
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

    fn determined(&self, start: u32, end: u32, work: &Work) -> Result<Automaton, TooManyStates> {
        let mut sets: Map<&CharSet, Vec<u32>> = Map::default();
        for (set, _) in self.states.iter().flat_map(|state| &state.edges) {
            work.count(STEPS_OF_A_RANGE * set.ranges().len());
            sets.entry(set).or_default();
        }
        let mut order: Vec<&CharSet> = sets.keys().copied().collect();
        order.sort_unstable_by_key(|set| set.ranges());
        let alphabet = Alphabet::of(order.into_iter());
        for (set, classes) in &mut sets {
            *classes = alphabet.classes_of(set);
            work.count(STEPS_OF_A_CELL * classes.len());
            if work.is_done() {
                return Err(TooManyStates);
            }
        }
        let edges: Vec<Vec<(&[u32], u32)>> = self
            .states
            .iter()
            .map(|state| {
                let edges = state.edges.iter();
                edges.map(|(set, target)| (&*sets[set], *target)).collect()
            })
            .collect();
        let mut subsets = Subsets {
            machine: self,
            end,
            seen: vec![false; self.states.len()],
            closed: vec![None; self.states.len()],
            all: Vec::new(),
            ids: Map::default(),
            empty: None,
            alone: vec![None; self.states.len()],
            by_reached: Map::default(),
            reached_left: REACHED_MAX,
            set: Vec::new(),
            marks: vec![0; self.states.len()],
            round: 0,
            members_left: MEMBERS_MAX,
            work,
        };
        subsets.found(&[start])?;
        let mut next = Vec::new();
        let mut at = 0;
        let mut targets: Vec<Vec<u32>> = vec![Vec::new(); alphabet.classes()];
        while at < subsets.all.len() {
            targets.iter_mut().for_each(Vec::clear);
            for &state in subsets.all[at].iter() {
                for &(classes, target) in &edges[state as usize] {
                    for &class in classes {
                        targets[class as usize].push(target);
                    }
                }
            }
            at += 1;
            // Characters that are told apart elsewhere mostly lead to the same states here.
            let mut last: Option<(&[u32], Found)> = None;
            for reached in &targets {
                let found = match last {
                    Some((known, found)) if known == reached.as_slice() => subsets.again(found)?,
                    _ => subsets.found(reached)?,
                };
                last = Some((reached, found));
                next.push(found.id);
            }
            work.count(STEPS_OF_A_CELL * targets.len());
            if subsets.all.len() > work.states_max || work.is_done() {
                return Err(TooManyStates);
            }
        }
        let accepts = subsets
            .all
            .iter()
            .map(|set| set.binary_search(&end).is_ok());
        let accepts = accepts.collect();
        Ok(Automaton::from_parts(alphabet, next, accepts).minimal())
    }
}

/// The sets of states that texts lead to.
struct Subsets<'m> {
    machine: &'m Machine,
    end: u32,
    seen: Vec<bool>,
    closed: Vec<Option<Rc<[u32]>>>,
    all: Vec<Rc<[u32]>>,
    ids: Map<Rc<[u32]>, u32>,
    /// By the states that characters lead to: the set that silence makes of them.
    by_reached: Map<Box<[u32]>, Found>,
    /// The same for no state and for a single one.
    empty: Option<Found>,
    alone: Vec<Option<Found>>,
    reached_left: usize,
    /// The set that is put together just now, and for each state the last round that had it.
    set: Vec<u32>,
    marks: Vec<u32>,
    round: u32,
    members_left: usize,
    work: &'m Work,
}

/// A set's number, and the members that it was put together of.
#[derive(Clone, Copy)]
struct Found {
    id: u32,
    members: usize,
}

impl Subsets<'_> {
    /// The set that these states and silence lead to.
    fn found(&mut self, reached: &[u32]) -> Result<Found, TooManyStates> {
        self.work.count(reached.len());
        let known = match reached {
            [] => self.empty,
            [only] => self.alone[*only as usize],
            _ => self.by_reached.get(reached).copied(),
        };
        if let Some(known) = known {
            return self.again(known);
        }
        let before = self.members_left;
        self.set.clear();
        self.round = self.round.wrapping_add(1);
        for &state in reached {
            let closed = self.closed[state as usize]
                .get_or_insert_with(|| self.machine.closed(state, self.end, &mut self.seen));
            let left = self.members_left.checked_sub(closed.len() + 1);
            self.members_left = left.ok_or(TooManyStates)?;
            for &member in closed.iter() {
                if std::mem::replace(&mut self.marks[member as usize], self.round) != self.round {
                    self.set.push(member);
                }
            }
        }
        self.work
            .count(STEPS_OF_A_MEMBER * (before - self.members_left));
        self.set.sort_unstable();
        let known = self.ids.get(&*self.set).copied();
        let id = known.unwrap_or_else(|| {
            let id = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
            let set: Rc<[u32]> = self.set.as_slice().into();
            self.all.push(Rc::clone(&set));
            self.ids.insert(set, id);
            id
        });
        let members = before - self.members_left;
        self.keep(reached, Found { id, members });
        Ok(Found { id, members })
    }

    fn keep(&mut self, reached: &[u32], found: Found) {
        match reached {
            [] => self.empty = Some(found),
            [only] => self.alone[*only as usize] = Some(found),
            _ => {
                if let Some(left) = self.reached_left.checked_sub(reached.len()) {
                    self.reached_left = left;
                    self.by_reached.insert(reached.into(), found);
                }
            }
        }
    }

    /// The same once more; what is bounded does not depend on how it was found.
    fn again(&mut self, known: Found) -> Result<Found, TooManyStates> {
        let left = self.members_left.checked_sub(known.members);
        self.members_left = left.ok_or(TooManyStates)?;
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::{CharSet, Term, Work};

    fn nested(times: u32) -> Term {
        let inner = Term::Repeat(Rc::new(Term::Set(CharSet::all())), 1, Some(times));
        Term::Repeat(Rc::new(inner), 1, Some(times))
    }

    #[test]
    fn counters_inside_counters_are_built_while_they_are_small() {
        let built = nested(9)
            .automaton(&Work::new(1_000))
            .map(|automaton| automaton.len());
        assert!(matches!(built, Ok(83)), "{built:?}");
        assert!(nested(90).automaton(&Work::new(100_000)).is_err());
    }
}
