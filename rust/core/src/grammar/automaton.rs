//! Complete deterministic automata over characters: product, complement, minimisation.
//!
//! Each automaton has its own alphabet of classes of characters; state 0 is the start.

use super::alphabet::Alphabet;
use super::charset::{CharSet, code_of};
use super::hash::Map;
use super::minimisation::equivalent;
use super::work::Work;

/// A set of texts, decided one character at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Automaton {
    alphabet: Alphabet,
    /// The next state, by `state * classes + class`.
    next: Vec<u32>,
    accepts: Vec<bool>,
}

/// Work that a cell of a table is, with what it takes to find the states that are alike.
const STEPS_OF_A_CELL: usize = 8;

/// An automaton grew past the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyStates;

impl Automaton {
    /// From its parts; `next` has an entry for each class of each state.
    pub fn from_parts(alphabet: Alphabet, next: Vec<u32>, accepts: Vec<bool>) -> Self {
        Self {
            alphabet,
            next,
            accepts,
        }
    }

    /// All texts, or none.
    pub fn constant(accepts: bool) -> Self {
        Self::from_parts(Alphabet::of_starts(vec![0]), vec![0], vec![accepts])
    }

    /// Texts of `min..=max` characters.
    pub fn of_length(min: u32, max: Option<u32>) -> Self {
        let last = max.unwrap_or(min);
        let mut next: Vec<u32> = (0..=last).map(|state| state + 1).collect();
        let mut accepts: Vec<bool> = (0..=last).map(|state| state >= min).collect();
        if max.is_some() {
            next.push(last + 1);
            accepts.push(false);
        } else {
            next[last as usize] = last;
        }
        Self::from_parts(Alphabet::of_starts(vec![0]), next, accepts)
    }

    /// Exactly these texts.
    ///
    /// # Errors
    /// [`TooManyStates`] after too much work.
    pub fn of_texts<'t>(
        texts: impl IntoIterator<Item = &'t str>,
        work: &Work,
    ) -> Result<Self, TooManyStates> {
        let texts: Vec<Vec<u32>> = texts
            .into_iter()
            .map(|text| text.chars().map(code_of).collect())
            .collect();
        let mut codes: Vec<u32> = texts.iter().flatten().copied().collect();
        let length = codes.len();
        codes.sort_unstable();
        codes.dedup();
        let alphabet = Alphabet::of_codes(&codes);
        let classes = alphabet.classes();
        work.count(STEPS_OF_A_CELL * classes * length);
        if work.is_done() {
            return Err(TooManyStates);
        }
        let mut next = vec![1; classes * 2];
        let mut accepts = vec![false, false];
        for text in &texts {
            let mut state = 0;
            for &code in text {
                let slot = state * classes + alphabet.class_of(code);
                if next[slot] == 1 {
                    next[slot] = u32::try_from(accepts.len()).unwrap_or(u32::MAX);
                    accepts.push(false);
                    next.extend(std::iter::repeat_n(1, classes));
                }
                state = next[slot] as usize;
            }
            accepts[state] = true;
        }
        Ok(Self::from_parts(alphabet, next, accepts))
    }

    /// The work that it is to look at the edges of all states.
    pub fn edge_steps(&self) -> usize {
        STEPS_OF_A_CELL * self.len() * self.alphabet.run_count()
    }

    /// How many states there are.
    pub fn len(&self) -> usize {
        self.accepts.len()
    }

    /// An automaton has at least a start.
    pub fn is_empty(&self) -> bool {
        self.accepts.is_empty()
    }

    /// First codes of the runs of characters that are treated alike, rising from 0.
    pub fn starts(&self) -> impl Iterator<Item = u32> {
        self.alphabet.runs().map(|(range, _)| range.0)
    }

    /// The texts that lead from a state into the set.
    #[must_use]
    pub fn from_state(&self, state: u32) -> Self {
        let swapped = |one: u32| match one {
            0 => state,
            one if one == state => 0,
            one => one,
        };
        let states = (0..).take(self.accepts.len());
        let rows = (states.clone()).flat_map(|place| self.row(swapped(place)));
        let next = rows.map(|&to| swapped(to)).collect();
        let accepts = states.map(|place| self.accepts_at(swapped(place)));
        Self::from_parts(self.alphabet.clone(), next, accepts.collect()).minimal()
    }

    /// Whether a state ends a text of the set.
    pub fn accepts_at(&self, state: u32) -> bool {
        self.accepts[state as usize]
    }

    /// The class of a character; the automaton treats those of one class alike.
    pub fn class_of(&self, code: u32) -> usize {
        self.alphabet.class_of(code)
    }

    /// Where each class leads from a state.
    fn row(&self, state: u32) -> &[u32] {
        let classes = self.alphabet.classes();
        &self.next[state as usize * classes..][..classes]
    }

    /// Where a character leads.
    pub fn step(&self, state: u32, code: u32) -> u32 {
        self.row(state)[self.alphabet.class_of(code)]
    }

    /// Whether a text is in the set.
    pub fn contains(&self, text: &str) -> bool {
        let end = text
            .chars()
            .fold(0, |state, character| self.step(state, code_of(character)));
        self.accepts_at(end)
    }

    /// The edges of a state, grouped by target, in order of their first character.
    pub fn edges(&self, state: u32) -> Vec<(CharSet, u32)> {
        let row = self.row(state);
        let mut groups: Vec<(CharSet, u32)> = Vec::new();
        for (range, class) in self.alphabet.runs() {
            let target = row[class];
            match groups.iter_mut().find(|group| group.1 == target) {
                Some(group) => group.0.append(range),
                None => groups.push((CharSet::beginning(range), target)),
            }
        }
        groups
    }

    /// The characters that lead from one state to another.
    pub fn between(&self, state: u32, target: u32) -> CharSet {
        let row = self.row(state);
        let mut all = CharSet::default();
        let runs = self.alphabet.runs();
        runs.filter(|(_, class)| row[*class] == target)
            .for_each(|(range, _)| all.append(range));
        all
    }

    /// The states that one character leads to.
    pub fn targets(&self, state: u32) -> &[u32] {
        self.row(state)
    }

    /// The texts that are not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        let accepts = self.accepts.iter().map(|accepts| !accepts).collect();
        Self {
            accepts,
            ..self.clone()
        }
    }

    /// Whether no text is in the set; every state is reachable.
    pub fn is_none(&self) -> bool {
        !self.accepts.contains(&true)
    }

    /// Whether every text is in the set; every state is reachable.
    pub fn is_all(&self) -> bool {
        !self.accepts.contains(&false)
    }

    /// The texts of both, minimal.
    ///
    /// # Errors
    /// [`TooManyStates`] past so many pairs, or after too much work.
    pub fn intersection(&self, other: &Self, work: &Work) -> Result<Self, TooManyStates> {
        let (alphabet, classes) = self.alphabet.both(&other.alphabet);
        work.count(STEPS_OF_A_CELL * alphabet.run_count());
        let mut ids = Map::from_iter([((0, 0), 0)]);
        let mut pairs = vec![(0_u32, 0_u32)];
        let mut next = Vec::new();
        let mut at = 0;
        while at < pairs.len() {
            let (left, right) = (self.row(pairs[at].0), other.row(pairs[at].1));
            at += 1;
            // Neighbours mostly lead to the same states.
            let mut last = ((0, 0), 0);
            for &(ours, theirs) in &classes {
                let pair = (left[ours], right[theirs]);
                if pair != last.0 {
                    let fresh = u32::try_from(pairs.len()).map_err(|_| TooManyStates)?;
                    let id = *ids.entry(pair).or_insert_with(|| {
                        pairs.push(pair);
                        fresh
                    });
                    last = (pair, id);
                }
                next.push(last.1);
            }
            work.count(STEPS_OF_A_CELL * (1 + classes.len()));
            if pairs.len() > work.states_max || work.is_done() {
                return Err(TooManyStates);
            }
        }
        let accepts = pairs
            .iter()
            .map(|&(l, r)| self.accepts_at(l) && other.accepts_at(r));
        Ok(Self::from_parts(alphabet, next, accepts.collect()).minimal())
    }

    /// The smallest automaton of the same set, with states numbered breadth-first.
    #[must_use]
    pub fn minimal(&self) -> Self {
        let merged = self.with_fewer_columns();
        let one = merged.as_ref().unwrap_or(self);
        one.collapsed(&equivalent(&one.next, &one.accepts, one.alphabet.classes()))
    }

    /// The same automaton with equal columns merged; none where there are none.
    fn with_fewer_columns(&self) -> Option<Self> {
        let classes = self.alphabet.classes();
        let columns = Columns::of(&self.next, classes);
        (columns.kept.len() < classes)
            .then(|| self.with_columns(&columns, &self.next, self.accepts.clone()))
    }

    /// One state for each block, breadth-first from the start, with equal columns merged.
    fn collapsed(&self, block: &[u32]) -> Self {
        let mut place = vec![u32::MAX; self.len()];
        place[block[0] as usize] = 0;
        let mut order = vec![0_u32];
        let mut next: Vec<u32> = Vec::new();
        let mut at = 0;
        while at < order.len() {
            let row = self.row(order[at]);
            at += 1;
            for &target in row {
                let place = &mut place[block[target as usize] as usize];
                if *place == u32::MAX {
                    *place = u32::try_from(order.len()).unwrap_or(u32::MAX);
                    order.push(target);
                }
                next.push(*place);
            }
        }
        let accepts = order.iter().map(|&state| self.accepts_at(state)).collect();
        let columns = Columns::of(&next, self.alphabet.classes());
        self.with_columns(&columns, &next, accepts)
    }

    fn with_columns(&self, columns: &Columns, next: &[u32], accepts: Vec<bool>) -> Self {
        let classes = self.alphabet.classes();
        if columns.kept.len() == classes {
            return Self::from_parts(self.alphabet.clone(), next.to_vec(), accepts);
        }
        let mut table = Vec::with_capacity(accepts.len() * columns.kept.len());
        for row in next.chunks_exact(classes) {
            table.extend(columns.kept.iter().map(|&class| row[class]));
        }
        Self::from_parts(self.alphabet.renamed(&columns.merged), table, accepts)
    }

    /// For each state, whether some text leads from it into the set.
    pub fn live(&self) -> Vec<bool> {
        let mut live = self.accepts.clone();
        let count = u32::try_from(self.len()).unwrap_or(u32::MAX);
        loop {
            let mut changed = false;
            for state in (0..count).rev() {
                let is_live = |&target: &u32| live[target as usize];
                if !live[state as usize] && self.row(state).iter().any(is_live) {
                    live[state as usize] = true;
                    changed = true;
                }
            }
            if !changed {
                return live;
            }
        }
    }
}

/// Which columns of a table are the same.
struct Columns {
    /// The first of each kind.
    kept: Vec<usize>,
    /// For each column its kind.
    merged: Vec<u32>,
}

impl Columns {
    fn of(next: &[u32], classes: usize) -> Self {
        // A number that equal columns have in common, made row by row as the table lies.
        let mut prints = vec![0_u64; classes];
        for row in next.chunks_exact(classes) {
            for (print, &target) in prints.iter_mut().zip(row) {
                *print =
                    (print.rotate_left(5) ^ u64::from(target)).wrapping_mul(0x517c_c1b7_2722_0a95);
            }
        }
        let is_same =
            |one: usize, other: usize| next.chunks_exact(classes).all(|row| row[one] == row[other]);
        let mut known: Map<u64, Vec<u32>> = Map::default();
        let mut kept: Vec<usize> = Vec::new();
        let mut merged = Vec::with_capacity(classes);
        for (class, &print) in prints.iter().enumerate() {
            let alike = known.entry(print).or_default();
            let found = alike
                .iter()
                .find(|&&kind| is_same(kept[kind as usize], class));
            let kind = found.copied().unwrap_or_else(|| {
                let fresh = u32::try_from(kept.len()).unwrap_or(u32::MAX);
                kept.push(class);
                fresh
            });
            if !alike.contains(&kind) {
                alike.push(kind);
            }
            merged.push(kind);
        }
        Self { kept, merged }
    }
}
