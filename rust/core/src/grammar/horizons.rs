//! Which states of an automaton look the same to one who sees only some characters ahead.

use super::automaton::Automaton;
use super::hash::Map;

/// Which states no text of so many characters tells apart, by the number of characters.
#[derive(Default)]
pub(super) struct Horizons {
    /// For each state its block; the last list stands for all longer texts.
    blocks: Vec<Vec<u32>>,
}

impl Horizons {
    /// For texts of up to so many characters.
    pub(super) fn of(automaton: &Automaton, live: &[bool], longest: usize) -> Self {
        let states = || (0..).take(automaton.len());
        let first = states().map(|state: u32| {
            u32::from(live[state as usize]) + u32::from(automaton.accepts_at(state))
        });
        let mut blocks: Vec<Vec<u32>> = vec![first.collect()];
        let mut count = 0;
        while blocks.len() <= longest {
            let last = &blocks[blocks.len() - 1];
            let mut known: Map<Box<[u32]>, u32> = Map::default();
            let mut key: Vec<u32> = Vec::new();
            let next: Vec<u32> = states()
                .map(|state: u32| {
                    key.clear();
                    let targets = automaton.targets(state).iter();
                    key.extend(targets.map(|&to| last[to as usize]));
                    key.push(last[state as usize]);
                    if let Some(&block) = known.get(&*key) {
                        return block;
                    }
                    let fresh = u32::try_from(known.len()).unwrap_or(u32::MAX);
                    known.insert(key.as_slice().into(), fresh);
                    fresh
                })
                .collect();
            let is_stable = known.len() == count;
            count = known.len();
            blocks.push(next);
            if is_stable {
                break;
            }
        }
        Self { blocks }
    }

    /// The block of a state among those that texts of `reach` characters tell apart.
    pub(super) fn block(&self, state: u32, reach: usize) -> u32 {
        self.blocks[reach.min(self.blocks.len() - 1)][state as usize]
    }
}
