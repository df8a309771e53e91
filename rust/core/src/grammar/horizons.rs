//! Which states of an automaton look the same to one who sees only some characters ahead.

use super::automaton::Automaton;
use super::hash::{Numbers, print_of};

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
            let next = told_apart(automaton, last);
            let most = next.iter().max().map_or(0, |&most| most + 1);
            let is_stable = most == count;
            count = most;
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

/// For each state its block where one more character is seen, before which blocks are known.
fn told_apart(automaton: &Automaton, last: &[u32]) -> Vec<u32> {
    let mut numbers = Numbers::default();
    // The first state of each block, and the block of each state.
    let mut firsts: Vec<u32> = Vec::new();
    let mut next = Vec::with_capacity(last.len());
    let most = last.iter().max().map_or(0, |&most| most as usize);
    let mut sizes = vec![0_u32; most + 1];
    for &block in last {
        sizes[block as usize] += 1;
    }
    let key = |state: u32| {
        let targets = automaton.targets(state).iter().copied().chain([state]);
        targets.map(|to| last[to as usize])
    };
    for state in (0..).take(last.len()) {
        let fresh = u32::try_from(firsts.len()).unwrap_or(u32::MAX);
        let is_same = |block: u32| key(firsts[block as usize]).eq(key(state));
        let is_alone = sizes[last[state as usize] as usize] == 1;
        let block = if is_alone {
            fresh
        } else {
            numbers.of(print_of(key(state)), fresh, is_same)
        };
        if block == fresh {
            firsts.push(state);
        }
        next.push(block);
    }
    next
}
