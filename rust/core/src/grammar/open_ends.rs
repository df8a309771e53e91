//! From which states of an automaton whatever comes can be the start of a text that is taken.

use std::collections::VecDeque;

use super::charset::CharSet;
use super::counted_strings::SHORTEST_OFFERED;

/// Characters of which any text of up to a length is the start of one that is taken; where there is
/// no greatest length, it is one that no text has.
pub(super) type OpenEnd = (CharSet, u32);

/// The ways between the states of an automaton, to those that are dead too.
pub(super) struct Ways<'l> {
    live: &'l [bool],
    /// By target: characters and source.
    sources: Vec<Vec<(&'l CharSet, u32)>>,
}

impl<'l> Ways<'l> {
    /// From the edges of each state.
    pub(super) fn of(edges: &'l [Vec<(CharSet, u32)>], live: &'l [bool]) -> Self {
        let mut sources = vec![Vec::new(); live.len()];
        for (state, edges) in (0..).zip(edges) {
            for (set, target) in edges {
                sources[*target as usize].push((set, state));
            }
        }
        Self { live, sources }
    }

    /// Takes a set for the states where longer texts of it are the start of one that is taken.
    pub(super) fn open_ends(&self, set: &CharSet, found: &mut [Option<OpenEnd>]) {
        for (found, steps) in found.iter_mut().zip(self.steps_to_death(set)) {
            let length = steps.saturating_sub(1);
            let is_longer = match found {
                Some((_, known)) => length > *known,
                None => length >= SHORTEST_OFFERED,
            };
            if is_longer {
                *found = Some((set.clone(), length));
            }
        }
    }

    /// For each state how many characters of a set lead to a dead one, at least.
    fn steps_to_death(&self, set: &CharSet) -> Vec<u32> {
        let steps = |live: &bool| if *live { u32::MAX } else { 0 };
        let mut steps: Vec<u32> = self.live.iter().map(steps).collect();
        let dead = (0..).zip(self.live).filter(|(_, live)| !**live);
        let mut open: VecDeque<u32> = dead.map(|(state, _)| state).collect();
        while let Some(state) = open.pop_front() {
            let next = steps[state as usize] + 1;
            for (edge, source) in &self.sources[state as usize] {
                let known = &mut steps[*source as usize];
                if *known == u32::MAX && edge.intersects(set) {
                    *known = next;
                    open.push_back(*source);
                }
            }
        }
        steps
    }
}
