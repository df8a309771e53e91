//! Complete deterministic automata over characters: product, complement, minimisation.
//!
//! Each automaton has its own partition of the characters into classes; state 0 is the start.

use super::charset::{CharSet, LAST, code_of};
use super::hash::Map;
use super::minimisation::equivalent;

/// A set of texts, decided one character at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Automaton {
    /// First code of each class, rising from 0.
    starts: Vec<u32>,
    /// The next state, by `state * classes + class`.
    next: Vec<u32>,
    accepts: Vec<bool>,
}

/// An automaton grew past the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyStates;

impl Automaton {
    /// From its parts; `next` has `starts.len()` entries for each state.
    pub fn from_parts(starts: Vec<u32>, next: Vec<u32>, accepts: Vec<bool>) -> Self {
        Self {
            starts,
            next,
            accepts,
        }
    }

    /// All texts, or none.
    pub fn constant(accepts: bool) -> Self {
        Self {
            starts: vec![0],
            next: vec![0],
            accepts: vec![accepts],
        }
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
        Self {
            starts: vec![0],
            next,
            accepts,
        }
    }

    /// Exactly these texts.
    pub fn of_texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let texts: Vec<Vec<u32>> = texts
            .into_iter()
            .map(|text| text.chars().map(code_of).collect())
            .collect();
        let used = texts.iter().flatten().map(|&code| (code, code));
        let starts = partition(used);
        let classes = starts.len();
        let mut next = vec![1; classes * 2];
        let mut accepts = vec![false, false];
        for text in &texts {
            let mut state = 0;
            for &code in text {
                let slot = state * classes + class_of(&starts, code);
                if next[slot] == 1 {
                    next[slot] = u32::try_from(accepts.len()).unwrap_or(u32::MAX);
                    accepts.push(false);
                    next.extend(std::iter::repeat_n(1, classes));
                }
                state = next[slot] as usize;
            }
            accepts[state] = true;
        }
        Self {
            starts,
            next,
            accepts,
        }
    }

    /// How many states there are.
    pub fn len(&self) -> usize {
        self.accepts.len()
    }

    /// An automaton has at least a start.
    pub fn is_empty(&self) -> bool {
        self.accepts.is_empty()
    }

    /// Whether a state ends a text of the set.
    pub fn accepts_at(&self, state: u32) -> bool {
        self.accepts[state as usize]
    }

    /// Where a character leads.
    pub fn step(&self, state: u32, code: u32) -> u32 {
        self.next[state as usize * self.starts.len() + class_of(&self.starts, code)]
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
        let row = &self.next[state as usize * self.starts.len()..][..self.starts.len()];
        let mut groups: Vec<(Vec<(u32, u32)>, u32)> = Vec::new();
        for (class, &target) in row.iter().enumerate() {
            let end = self.starts.get(class + 1).map_or(LAST, |&start| start - 1);
            let range = (self.starts[class], end);
            match groups.iter_mut().find(|group| group.1 == target) {
                Some(group) => group.0.push(range),
                None => groups.push((vec![range], target)),
            }
        }
        groups
            .into_iter()
            .map(|(ranges, target)| (CharSet::from_codes(ranges), target))
            .collect()
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
    /// [`TooManyStates`] past `states_max` pairs.
    pub fn intersection(&self, other: &Self, states_max: usize) -> Result<Self, TooManyStates> {
        let starts = merged(&self.starts, &other.starts);
        let ours: Vec<usize> = starts.iter().map(|&s| class_of(&self.starts, s)).collect();
        let theirs: Vec<usize> = starts.iter().map(|&s| class_of(&other.starts, s)).collect();
        let mut ids = Map::from_iter([((0, 0), 0)]);
        let mut pairs = vec![(0_u32, 0_u32)];
        let mut next = Vec::new();
        let mut at = 0;
        while at < pairs.len() {
            let (left, right) = pairs[at];
            at += 1;
            for class in 0..starts.len() {
                let pair = (
                    self.next[left as usize * self.starts.len() + ours[class]],
                    other.next[right as usize * other.starts.len() + theirs[class]],
                );
                let fresh = u32::try_from(pairs.len()).map_err(|_| TooManyStates)?;
                let id = *ids.entry(pair).or_insert_with(|| {
                    pairs.push(pair);
                    fresh
                });
                next.push(id);
            }
            if pairs.len() > states_max {
                return Err(TooManyStates);
            }
        }
        let accepts = pairs
            .iter()
            .map(|&(l, r)| self.accepts_at(l) && other.accepts_at(r));
        Ok(Self {
            starts,
            next,
            accepts: accepts.collect(),
        }
        .minimal())
    }

    /// The smallest automaton of the same set, with states numbered breadth-first.
    #[must_use]
    pub fn minimal(&self) -> Self {
        self.collapsed(&equivalent(&self.next, &self.accepts, self.starts.len()))
    }

    /// One state for each block, breadth-first from the start, with equal columns merged.
    fn collapsed(&self, block: &[u32]) -> Self {
        let classes = self.starts.len();
        let mut place = Map::from_iter([(block[0], 0_u32)]);
        let mut order = vec![0_usize];
        let mut next: Vec<u32> = Vec::new();
        let mut at = 0;
        while at < order.len() {
            let row = &self.next[order[at] * classes..][..classes];
            at += 1;
            for &target in row {
                let fresh = u32::try_from(order.len()).unwrap_or(u32::MAX);
                let id = *place.entry(block[target as usize]).or_insert_with(|| {
                    order.push(target as usize);
                    fresh
                });
                next.push(id);
            }
        }
        let accepts: Vec<bool> = order.iter().map(|&state| self.accepts[state]).collect();
        let same = |a: usize, b: usize| {
            (0..accepts.len()).all(|state| next[state * classes + a] == next[state * classes + b])
        };
        let kept: Vec<usize> = (0..classes)
            .filter(|&class| class == 0 || !same(class - 1, class))
            .collect();
        let starts = kept.iter().map(|&class| self.starts[class]).collect();
        let table = (0..accepts.len())
            .flat_map(|state| kept.iter().map(move |&class| state * classes + class))
            .map(|slot| next[slot])
            .collect();
        Self {
            starts,
            next: table,
            accepts,
        }
    }

    /// For each state, whether some text leads from it into the set.
    pub fn live(&self) -> Vec<bool> {
        let classes = self.starts.len();
        let mut live = self.accepts.clone();
        loop {
            let mut changed = false;
            for state in (0..self.len()).rev() {
                let row = &self.next[state * classes..][..classes];
                if !live[state] && row.iter().any(|&target| live[target as usize]) {
                    live[state] = true;
                    changed = true;
                }
            }
            if !changed {
                return live;
            }
        }
    }

    /// The texts of the set if there are at most `count_max` of them.
    pub fn texts(&self, count_max: usize) -> Option<Vec<String>> {
        let live = self.live();
        let mut found = Vec::new();
        let mut open = vec![(0_u32, String::new())];
        let mut steps = 0;
        while let Some((state, text)) = open.pop() {
            steps += 1;
            if steps > 64 * (count_max + 1) || text.chars().count() > self.len() {
                return None;
            }
            if self.accepts_at(state) {
                found.push(text.clone());
                if found.len() > count_max {
                    return None;
                }
            }
            for (set, target) in self.edges(state) {
                if !live[target as usize] {
                    continue;
                }
                let size: u32 = set.ranges().iter().map(|(low, high)| high - low + 1).sum();
                if size as usize > count_max {
                    return None;
                }
                for code in set.ranges().iter().flat_map(|&(low, high)| low..=high) {
                    let mut longer = text.clone();
                    longer.push(super::charset::char_of(code));
                    open.push((target, longer));
                }
            }
        }
        found.sort_unstable();
        Some(found)
    }
}

/// The class starts that tell all these ranges apart.
pub fn partition(ranges: impl IntoIterator<Item = (u32, u32)>) -> Vec<u32> {
    let mut starts = vec![0];
    for (low, high) in ranges {
        starts.push(low);
        if high < LAST {
            starts.push(high + 1);
        }
    }
    starts.sort_unstable();
    starts.dedup();
    starts
}

/// The class of a code.
pub fn class_of(starts: &[u32], code: u32) -> usize {
    starts.partition_point(|&start| start <= code) - 1
}

fn merged(left: &[u32], right: &[u32]) -> Vec<u32> {
    let mut starts: Vec<u32> = left.iter().chain(right).copied().collect();
    starts.sort_unstable();
    starts.dedup();
    starts
}
