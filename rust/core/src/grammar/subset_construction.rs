//! Nondeterministic automata made deterministic, by sets of their states.
//!
//! Sets with a state from which every text is taken are one set: behind the match of a pattern that
//! is searched for, nothing is told apart.
//!
//! Source: M. Rabin and D. Scott, Finite automata and their decision problems, 1959.

use std::rc::Rc;

use super::alphabet::Alphabet;
use super::automaton::{Automaton, TooManyStates};
use super::charset::CharSet;
use super::hash::Map;
use super::nondeterministic::Machine;
use super::work::Work;

/// States that sets of states are put together of, over a whole subset construction: a tenth of a
/// second. Counters inside counters have few sets with thousands of states each.
const MEMBERS_MAX: usize = 4_000_000;

/// Work that any automaton is, however small: its lists and tables.
const STEPS_OF_AN_AUTOMATON: usize = 2_500;

/// Work that it is to tell the characters of a range from others.
const STEPS_OF_A_RANGE: usize = 16;

/// Work that one of them is, and a cell of the table that is made.
const STEPS_OF_A_MEMBER: usize = 4;
const STEPS_OF_A_CELL: usize = 8;

/// States in the lists that are kept to know a set again: a megabyte.
const REACHED_MAX: usize = 250_000;

/// For each state: the classes of characters that lead somewhere, and where.
type ClassEdges<'c> = Vec<Vec<(&'c [u32], u32)>>;

/// The minimal automaton of what leads from `start` to `end`.
///
/// # Errors
/// [`TooManyStates`] where it passes the limit of states, or is too much work.
pub fn determined(
    machine: &Machine,
    start: u32,
    end: u32,
    work: &Work,
) -> Result<Automaton, TooManyStates> {
    work.count(STEPS_OF_AN_AUTOMATON);
    let (alphabet, classes) = told_apart(machine, work)?;
    let edges: ClassEdges<'_> = machine
        .states
        .iter()
        .map(|state| {
            let edges = state.edges.iter();
            edges
                .map(|(set, target)| (&*classes[&**set], *target))
                .collect()
        })
        .collect();
    let mut subsets = Subsets::of(machine, end, work);
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
        subsets.follow(&targets, &mut next)?;
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

/// The characters that the machine tells apart, and for each of its sets the classes it is made of.
fn told_apart<'m>(
    machine: &'m Machine,
    work: &Work,
) -> Result<(Alphabet, Map<&'m CharSet, Vec<u32>>), TooManyStates> {
    let mut sets: Map<&CharSet, Vec<u32>> = Map::default();
    for (set, _) in machine.states.iter().flat_map(|state| &state.edges) {
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
    Ok((alphabet, sets))
}

/// The sets of states that texts lead to.
struct Subsets<'m> {
    machine: &'m Machine,
    end: u32,
    seen: Vec<bool>,
    closed: Vec<Option<Closed>>,
    /// States that lead to the end whatever comes, as far as that was asked.
    free: Vec<Option<bool>>,
    /// The set that stands for all that have one of them.
    whole: Option<[u32; 2]>,
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

/// What silence makes of a state.
#[derive(Clone)]
struct Closed {
    states: Rc<[u32]>,
    /// One of them that leads to the end whatever comes.
    free: Option<u32>,
}

/// A set's number, and the members that it was put together of.
#[derive(Clone, Copy)]
struct Found {
    id: u32,
    members: usize,
}

impl<'m> Subsets<'m> {
    fn of(machine: &'m Machine, end: u32, work: &'m Work) -> Self {
        let count = machine.states.len();
        Self {
            machine,
            end,
            seen: vec![false; count],
            closed: vec![None; count],
            free: vec![None; count],
            whole: None,
            all: Vec::new(),
            ids: Map::default(),
            by_reached: Map::default(),
            empty: None,
            alone: vec![None; count],
            reached_left: REACHED_MAX,
            set: Vec::new(),
            marks: vec![0; count],
            round: 0,
            members_left: MEMBERS_MAX,
            work,
        }
    }

    /// Adds the sets that the classes of characters lead to, class by class.
    fn follow(&mut self, targets: &[Vec<u32>], next: &mut Vec<u32>) -> Result<(), TooManyStates> {
        // Characters that are told apart elsewhere mostly lead to the same states here.
        let mut last: Option<(&[u32], Found)> = None;
        for reached in targets {
            let found = match last {
                Some((known, found)) if known == reached.as_slice() => self.again(found)?,
                _ => self.found(reached)?,
            };
            last = Some((reached, found));
            next.push(found.id);
        }
        Ok(())
    }

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
        self.put_together(reached)?;
        let members = before - self.members_left;
        self.work.count(STEPS_OF_A_MEMBER * members);
        self.set.sort_unstable();
        let known = self.ids.get(&*self.set).copied();
        let id = known.unwrap_or_else(|| {
            let id = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
            let set: Rc<[u32]> = self.set.as_slice().into();
            self.all.push(Rc::clone(&set));
            self.ids.insert(set, id);
            id
        });
        self.keep(reached, Found { id, members });
        Ok(Found { id, members })
    }

    /// Puts together the states that these and silence lead to.
    fn put_together(&mut self, reached: &[u32]) -> Result<(), TooManyStates> {
        self.set.clear();
        self.round = self.round.wrapping_add(1);
        for &state in reached {
            let closed = self.closed(state)?;
            self.take(closed.states.len() + 1)?;
            if let Some(free) = closed.free {
                let whole = self.whole.get_or_insert([free, self.end]);
                self.set.clear();
                self.set.extend_from_slice(whole);
                return Ok(());
            }
            for &member in closed.states.iter() {
                if std::mem::replace(&mut self.marks[member as usize], self.round) != self.round {
                    self.set.push(member);
                }
            }
        }
        Ok(())
    }

    fn closed(&mut self, state: u32) -> Result<Closed, TooManyStates> {
        if let Some(known) = &self.closed[state as usize] {
            return Ok(known.clone());
        }
        let states = self.machine.closed(state, self.end, &mut self.seen);
        let mut free = None;
        for &one in states.iter() {
            if self.is_free(one)? {
                free = Some(one);
                break;
            }
        }
        let closed = Closed { states, free };
        self.closed[state as usize] = Some(closed.clone());
        Ok(closed)
    }

    /// Whether a state leads to the end whatever comes: any character leads back to it, and silence
    /// to the end.
    fn is_free(&mut self, state: u32) -> Result<bool, TooManyStates> {
        if let Some(known) = self.free[state as usize] {
            return Ok(known);
        }
        let mut is_free = self.machine.stays(state);
        if is_free {
            let reached = self.machine.closed(state, self.end, &mut self.seen);
            self.take(reached.len())?;
            is_free = reached.contains(&self.end);
        }
        self.free[state as usize] = Some(is_free);
        Ok(is_free)
    }

    /// Looks at so many states more, if that is not too much.
    fn take(&mut self, members: usize) -> Result<(), TooManyStates> {
        let left = self.members_left.checked_sub(members);
        self.members_left = left.ok_or(TooManyStates)?;
        Ok(())
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
        self.take(known.members)?;
        Ok(known)
    }
}
