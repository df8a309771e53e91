//! Which states of a pattern an engine is offered tokens for, and how long ones; decided by what
//! trying its vocabulary costs in each.
//!
//! A state from which no text leads to a dead end may offer all tokens of some characters, others
//! those up to a reach. States that no text of so many characters tells apart share what they
//! offer; where that is too much, the blocks with the fewest states reach less far, or not at all.

use super::automaton::Automaton;
use super::charset::CharSet;
use super::escapes::plain;
use super::hash::Map;
use super::horizons::Horizons;
use super::open_ends::{OpenEnd, Ways};

/// How far tokens may reach, and what trying a vocabulary so far costs, in sixteenths.
const REACHES: [(usize, u32); 4] = [(16, 16), (8, 11), (4, 4), (2, 1)];
/// The weight of a state in which any character may come.
const WIDE: u32 = 125;
/// States from which a dead end can be reached are written as they are if they cost less together:
/// as much as a few of the widest.
const LIGHT: u32 = 5 * WIDE;
/// A state from which none can be reached is written as it is if it weighs less.
const OPEN_LIGHT: u32 = WIDE / 2;
/// The same for a state with few characters, of an automaton that is not light.
const NARROW: u32 = 40;
/// What the rules that offer tokens may weigh, for one automaton: half as much, for an engine needs
/// up to twice the time for each.
const BUDGET: u32 = 4 * WIDE;
/// Sets of few characters that are tried for one automaton.
const NARROW_SETS: usize = 2;

/// Where characters lead from a state.
pub(super) type Edges = Vec<(CharSet, u32)>;

/// What is offered in the states of an automaton.
pub(super) struct OfferPlan<'a> {
    automaton: &'a Automaton,
    live: &'a [bool],
    /// By state, to those that are dead too.
    edges: &'a [Edges],
    /// By state: what may come there without an end in sight.
    pub(super) open_ended: Vec<Option<OpenEnd>>,
    /// Whether the states from which a dead end can be reached are written as they are.
    pub(super) is_light: bool,
    horizons: Horizons,
    /// By state: how far tokens reach that are offered there; none: single characters.
    pub(super) reaches: Vec<Option<usize>>,
}

impl<'a> OfferPlan<'a> {
    /// None where all states are written as they are.
    pub(super) fn of(
        automaton: &'a Automaton,
        live: &'a [bool],
        edges: &'a [Edges],
    ) -> Option<Self> {
        let mut plan = Self {
            automaton,
            live,
            edges,
            open_ended: Vec::new(),
            is_light: false,
            horizons: Horizons::default(),
            reaches: vec![None; automaton.len()],
        };
        let states = || (0..).take(automaton.len());
        let weights: Vec<u32> = states().map(|state| plan.weight(state)).collect();
        let costs = weights.iter().map(|&weight| cost(weight));
        if costs.sum::<u32>() <= LIGHT && weights.iter().all(|&weight| weight <= OPEN_LIGHT) {
            return None;
        }
        plan.open_ended = plan.open_ends(&weights);
        let states = || (0..).zip(&weights);
        let is_open = |state: u32| plan.open_ended[state as usize].is_some();
        let has_open = states()
            .any(|(state, &weight)| is_open(state) && !plan.is_free(state) && weight > NARROW);
        let others = states().filter(|&(state, _)| !is_open(state));
        let is_light = others.map(|(_, &weight)| cost(weight)).sum::<u32>() <= LIGHT;
        if is_light && !has_open {
            return None;
        }
        plan.is_light = is_light;
        if !is_light {
            plan.horizons = Horizons::of(automaton, live, REACHES[0].0);
            plan.reaches = plan.reaches(&weights);
        }
        Some(plan)
    }

    /// Where characters lead from a state that can be part of a text.
    pub(super) fn edges(&self, state: u32) -> impl Iterator<Item = &'a (CharSet, u32)> {
        let live = self.live;
        let all = self.edges[state as usize].iter();
        all.filter(move |edge| live[edge.1 as usize])
    }

    /// Whether a text may end in a state.
    pub(super) fn accepts_at(&self, state: u32) -> bool {
        self.automaton.accepts_at(state)
    }

    /// The block of a state among those that texts of `reach` characters tell apart.
    pub(super) fn block(&self, state: u32, reach: usize) -> u32 {
        self.horizons.block(state, reach)
    }

    /// Whether any text may follow a state.
    pub(super) fn is_free(&self, state: u32) -> bool {
        let all = self.automaton.targets(state).iter();
        self.automaton.accepts_at(state) && all.copied().all(|target| target == state)
    }

    /// What trying a vocabulary in a state costs.
    fn weight(&self, state: u32) -> u32 {
        self.edges(state).map(|edge| weight_of(&edge.0)).sum()
    }

    /// Finds characters for each state of which no text, or no short one, leads to a dead state:
    /// all that need no escape, what `.` stands for in a pattern, or the most of what may come.
    fn open_ends(&self, weights: &[u32]) -> Vec<Option<OpenEnd>> {
        let ways = Ways::of(self.edges, self.live);
        let mut found = vec![None; self.live.len()];
        for set in [plain(), &plain().intersection(&CharSet::dot())] {
            ways.open_ends(set, &mut found);
        }
        let mut sets: Map<CharSet, u32> = Map::default();
        let mut sum = 0;
        for (state, &weight) in (0..).zip(weights) {
            let at = state as usize;
            if found[at].is_some() || !self.live[at] || weight <= NARROW {
                continue;
            }
            sum += cost(weight);
            for (set, _) in self.edges(state) {
                *sets.entry(set.intersection(plain())).or_default() += weight_of(set);
            }
        }
        if sum <= LIGHT {
            return found;
        }
        let mut sets: Vec<(CharSet, u32)> = sets.into_iter().collect();
        sets.sort_unstable_by(|(one, less), (other, more)| {
            more.cmp(less)
                .then_with(|| one.ranges().cmp(other.ranges()))
        });
        for (set, _) in sets
            .iter()
            .take(NARROW_SETS)
            .filter(|set| !set.0.is_empty())
        {
            ways.open_ends(set, &mut found);
        }
        found
    }

    /// For each state how far tokens may reach that are offered there; none: single characters.
    fn reaches(&self, weights: &[u32]) -> Vec<Option<usize>> {
        let mut reaches = vec![None; self.automaton.len()];
        let mut left = BUDGET;
        for (reach, sixteenths) in REACHES {
            let mut blocks: Map<u32, Vec<u32>> = Map::default();
            for state in (0..).take(self.automaton.len()) {
                let at = state as usize;
                let is_offered = self.live[at]
                    && self.open_ended[at].is_none()
                    && self.edges(state).next().is_some();
                if is_offered && reaches[at].is_none() {
                    let block = self.horizons.block(state, reach);
                    blocks.entry(block).or_default().push(state);
                }
            }
            let mut blocks: Vec<Vec<u32>> = blocks.into_values().collect();
            blocks.sort_unstable_by_key(|states| (usize::MAX - states.len(), states[0]));
            for states in blocks {
                let weight = weights[states[0] as usize] * sixteenths / 16;
                if weight <= left {
                    left -= weight;
                    for state in states {
                        reaches[state as usize] = Some(reach);
                    }
                }
            }
        }
        reaches
    }
}

/// What a state costs that is written as it is: the more characters may come, the further an engine
/// goes through each token.
const fn cost(weight: u32) -> u32 {
    weight * weight / WIDE
}

/// The printable characters of ASCII in a set, and as much as thirty for all others.
pub(super) fn weight_of(set: &CharSet) -> u32 {
    let ascii = set.ranges().iter().take_while(|range| range.0 <= 0x7e);
    let sizes = ascii.map(|range| (range.1.min(0x7e) + 1).saturating_sub(range.0.max(0x20)));
    let others = set.ranges().last().is_some_and(|range| range.1 > 0xffff);
    sizes.sum::<u32>() + if others { 30 } else { 0 }
}
