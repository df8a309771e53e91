//! Classes of characters: what an automaton treats alike has one column in its table.

use super::charset::{CharSet, LAST};
use super::hash::Map;

/// Characters in classes that an automaton treats alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Alphabet {
    /// First code of each run of characters of one class, rising from 0.
    starts: Vec<u32>,
    /// The class of each run, numbered as they come.
    class: Vec<u32>,
    classes: usize,
}

impl Alphabet {
    /// The fewest classes that tell all these sets apart.
    pub fn of<'s>(sets: impl Iterator<Item = &'s CharSet> + Clone) -> Self {
        let ranges = sets.clone().flat_map(|set| set.ranges().iter().copied());
        let starts = partition(ranges);
        let mut class = vec![0_u32; starts.len()];
        let mut count = 1;
        for set in sets {
            // What a class has within the set is a class of its own from here on.
            let mut fresh: Map<u32, u32> = Map::default();
            for &(low, high) in set.ranges() {
                let first = starts.partition_point(|&start| start < low);
                let within = starts[first..].iter().take_while(|&&start| start <= high);
                for class in &mut class[first..first + within.count()] {
                    *class = *fresh.entry(*class).or_insert_with(|| {
                        count += 1;
                        count - 1
                    });
                }
            }
        }
        let mut known: Map<u32, u32> = Map::default();
        for class in &mut class {
            let fresh = u32::try_from(known.len()).unwrap_or(u32::MAX);
            *class = *known.entry(*class).or_insert(fresh);
        }
        Self::joined(starts, class)
    }

    /// A class for each of these codes, which rise, and one for all others.
    pub fn of_codes(codes: &[u32]) -> Self {
        let starts = partition(codes.iter().map(|&code| (code, code)));
        let class = (1..).zip(&starts);
        let is_one = |start: &u32| codes.binary_search(start).is_ok();
        let class = class.map(|(place, start)| if is_one(start) { place } else { 0 });
        let mut known: Map<u32, u32> = Map::default();
        let class = class.map(|class| {
            let fresh = u32::try_from(known.len()).unwrap_or(u32::MAX);
            *known.entry(class).or_insert(fresh)
        });
        let class = class.collect();
        Self::joined(starts, class)
    }

    /// A class for each run.
    pub fn of_starts(starts: Vec<u32>) -> Self {
        let class = (0..).take(starts.len()).collect();
        Self::joined(starts, class)
    }

    /// Neighbours of one class become one run.
    fn joined(mut starts: Vec<u32>, mut class: Vec<u32>) -> Self {
        let mut at = 0;
        let kept: Vec<bool> = (0..class.len())
            .map(|run| run == 0 || class[run] != class[run - 1])
            .collect();
        starts.retain(|_| {
            at += 1;
            kept[at - 1]
        });
        class.dedup();
        let classes = class.iter().max().map_or(0, |&last| last as usize + 1);
        Self {
            starts,
            class,
            classes,
        }
    }

    /// How many classes there are.
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// The class of a code.
    pub fn class_of(&self, code: u32) -> usize {
        self.class[self.starts.partition_point(|&start| start <= code) - 1] as usize
    }

    /// The classes of a set that the alphabet tells apart from others.
    pub fn classes_of(&self, set: &CharSet) -> Vec<u32> {
        let mut classes = Vec::new();
        for &(low, high) in set.ranges() {
            let first = self.starts.partition_point(|&start| start <= low) - 1;
            let runs = self.starts[first..]
                .iter()
                .take_while(|&&start| start <= high);
            classes.extend_from_slice(&self.class[first..first + runs.count()]);
        }
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    /// How many runs of characters of one class there are.
    pub const fn run_count(&self) -> usize {
        self.starts.len()
    }

    /// The classes of both, with the class in each that they come from.
    pub fn both(&self, other: &Self) -> (Self, Vec<(usize, usize)>) {
        let mut starts = self.starts.clone();
        starts.extend_from_slice(&other.starts);
        starts.sort_unstable();
        starts.dedup();
        let mut known: Map<(u32, u32), u32> = Map::default();
        let mut pairs = Vec::new();
        let (mut ours, mut theirs) = (0, 0);
        let mut class = Vec::with_capacity(starts.len());
        for &start in &starts {
            ours += usize::from(self.starts.get(ours + 1) == Some(&start));
            theirs += usize::from(other.starts.get(theirs + 1) == Some(&start));
            let pair = (self.class[ours], other.class[theirs]);
            let fresh = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
            class.push(*known.entry(pair).or_insert_with(|| {
                pairs.push((pair.0 as usize, pair.1 as usize));
                fresh
            }));
        }
        (Self::joined(starts, class), pairs)
    }

    /// The same runs, with another name for each class.
    #[must_use]
    pub fn renamed(&self, names: &[u32]) -> Self {
        let class = self.class.iter().map(|&class| names[class as usize]);
        Self::joined(self.starts.clone(), class.collect())
    }

    /// Each run: its characters, and its class.
    pub fn runs(&self) -> impl Iterator<Item = ((u32, u32), usize)> {
        let ends = self.starts[1..].iter().map(|&start| start - 1);
        let ranges = self.starts.iter().copied().zip(ends.chain([LAST]));
        ranges.zip(self.class.iter().map(|&class| class as usize))
    }
}

/// The class starts that tell all these ranges apart.
fn partition(ranges: impl IntoIterator<Item = (u32, u32)>) -> Vec<u32> {
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

#[cfg(test)]
mod tests {
    use super::{Alphabet, CharSet};

    #[test]
    fn sets_are_told_apart_by_the_fewest_classes() {
        let space = CharSet::space();
        let letters = CharSet::of("acz");
        let made = Alphabet::of([&space, &letters, &space.complement()].into_iter());
        assert_eq!(made.classes(), 3);
        assert_eq!(made.classes_of(&space).len(), 1);
        assert_eq!(made.classes_of(&letters).len(), 1);
        assert_eq!(made.classes_of(&space.complement()).len(), 2);
        let class = |character: char| made.class_of(u32::from(character));
        assert_eq!(class(' '), class('\u{2003}'));
        assert_eq!(class('a'), class('z'));
        assert_ne!(class('a'), class('b'));
        assert_eq!(class('b'), class('é'));
    }

    #[test]
    fn both_alphabets_tell_apart_what_either_does() {
        let (left, right) = (CharSet::of("abc"), CharSet::of("cd"));
        let left = Alphabet::of([&left].into_iter());
        let (both, pairs) = left.both(&Alphabet::of([&right].into_iter()));
        assert_eq!((both.classes(), pairs.len()), (4, 4));
        for code in "abcde".chars().map(u32::from) {
            assert_eq!(pairs[both.class_of(code)].0, left.class_of(code));
        }
    }
}
