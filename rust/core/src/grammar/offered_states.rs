//! The states of a pattern as rules, where an engine would pay too much for each.
//!
//! As in [`super::counted_strings`], what is exact is apart from what is offered. A state's exact
//! rule names a rule for one character of each edge, beyond which no token is offered. Beside it
//! stands a rule that says which longer tokens may come. States that no text of so many characters
//! tells apart share one: those of a long counted run do, but near its end. Where there are too
//! many, the ones with the fewest states offer shorter tokens, or single characters alone.
//!
//! Where whatever comes can be the start of a text that is taken, as after the negation of a
//! pattern, or where that holds for some characters, tokens of those are offered as in counted
//! strings. What is offered has an end: without one, each place of a text would leave something
//! open that an engine goes through at all later places.

use super::automaton::Automaton;
use super::charset::CharSet;
use super::emission::Emission;
use super::escapes::{escapes_of, plain, special};
use super::hash::Map;
use super::horizons::Horizons;
use super::open_ends::{OpenEnd, Ways};
use super::refusal::Result;
use super::rules::{Piece, RuleId};
use super::state_rules::Ending;

/// How far tokens may reach, and what trying a vocabulary so far costs, in sixteenths.
const REACHES: [(usize, u32); 4] = [(16, 16), (8, 11), (4, 4), (2, 1)];
/// The weight of a state in which any character may come.
const WIDE: u32 = 125;
/// States from which a dead end can be reached are written as they are if they cost less together:
/// as much as a few of the widest.
const LIGHT: u32 = 5 * WIDE;
/// A state from which none can be reached is written as it is if it weighs less.
const OPEN_LIGHT: u32 = WIDE / 2;
/// What the rules that offer tokens may weigh, for one automaton: half as much, for an engine needs
/// up to twice the time for each.
const BUDGET: u32 = 4 * WIDE;
/// The same for a state with few characters, of an automaton that is not light.
const NARROW: u32 = 40;
/// Sets of few characters that are tried for one automaton.
const NARROW_SETS: usize = 2;
/// States beyond which offering is not tried.
const STATES_MAX: usize = 2_000;

/// The rules of one automaton in the making.
struct Offered<'a> {
    automaton: &'a Automaton,
    /// The edges of each state; those to states that live once the open ends are found.
    edges: Vec<Vec<(CharSet, u32)>>,
    /// By state, of almost all characters.
    open_ended: Vec<Option<OpenEnd>>,
    horizons: Horizons,
    /// By block and reach: texts of so many characters at most, or what is before their end.
    within: Map<(u32, usize), RuleId>,
    open: Vec<(u32, usize, RuleId)>,
}

impl Emission<'_, '_> {
    /// The rules of an automaton's states, or none where they are written as they are.
    pub(super) fn offered_states(
        &mut self,
        automaton: &Automaton,
        live: &[bool],
    ) -> Result<Option<Vec<RuleId>>> {
        if self.lowering.options.deterministic || automaton.len() > STATES_MAX {
            return Ok(None);
        }
        self.lowering.work.count(automaton.edge_steps());
        self.lowering.work.check()?;
        let mut offered = Offered::of(automaton);
        let Some(is_light) = offered.is_light(live) else {
            return Ok(None);
        };
        let mut reaches = vec![None; automaton.len()];
        if !is_light {
            offered.horizons = Horizons::of(automaton, live, REACHES[0].0);
            reaches = offered.reaches(live);
        }
        let mut fast: Map<(u32, usize), RuleId> = Map::default();
        let mut rules = Vec::with_capacity(automaton.len());
        for _ in 0..automaton.len() {
            rules.push(self.rules.reserve()?);
        }
        for (state, &rule) in (0..).zip(&rules) {
            if offered.is_free(state) {
                let tail = self.any_tail()?;
                self.rules.define(rule, [[Piece::Rule(tail)]]);
                continue;
            }
            if offered.open_ended[state as usize].is_some() {
                let all = self.open_state(&offered, state, &rules)?;
                self.rules.define(rule, all);
                continue;
            }
            if is_light {
                let all = self.light_state(&offered, state, &rules)?;
                self.rules.define_closing(rule, all);
                continue;
            }
            let mut all = self.end_or_one(&offered, state, &rules, Self::one_of)?;
            if let Some(reach) = reaches[state as usize] {
                let key = (offered.horizons.block(state, reach), reach);
                let known = fast.get(&key).copied();
                let made = known.map_or_else(|| self.fast_state(&mut offered, state, reach), Ok)?;
                fast.insert(key, made);
                all.push(vec![Piece::Rule(made)]);
            }
            self.rules.define(rule, all);
        }
        self.finish_offered(&mut offered)?;
        Ok(Some(rules))
    }

    /// The end, or one character and what follows; beside it what may be offered.
    fn open_state(
        &mut self,
        offered: &Offered,
        state: u32,
        rules: &[RuleId],
    ) -> Result<Vec<Vec<Piece>>> {
        let mut all = Vec::new();
        let Some((offers, length)) = &offered.open_ended[state as usize] else {
            return Ok(all);
        };
        all.extend(self.beginning(offers, length.unwrap_or(u32::MAX))?);
        all.extend(self.end_or_one(offered, state, rules, Self::character)?);
        Ok(all)
    }

    /// The end, or one character and what follows, in a rule that has the characters itself.
    fn light_state(
        &mut self,
        offered: &Offered,
        state: u32,
        rules: &[RuleId],
    ) -> Result<Vec<Vec<Piece>>> {
        let mut all = Vec::new();
        if offered.automaton.accepts_at(state) {
            all.push(vec![Piece::Text("\"".into())]);
        }
        for (set, target) in &offered.edges[state as usize] {
            self.edge(set, rules[*target as usize], Ending::Quote, &mut all)?;
        }
        Ok(all)
    }

    /// The end, or one character by its rule and what is exact after it.
    fn end_or_one(
        &mut self,
        offered: &Offered,
        state: u32,
        rules: &[RuleId],
        one_of: impl Fn(&mut Self, &CharSet) -> Result<RuleId>,
    ) -> Result<Vec<Vec<Piece>>> {
        let mut all = Vec::new();
        if offered.automaton.accepts_at(state) {
            all.push(vec![Piece::Rule(self.close()?)]);
        }
        for (set, target) in &offered.edges[state as usize] {
            let one = one_of(self, set)?;
            all.push(vec![Piece::Rule(one), Piece::Rule(rules[*target as usize])]);
        }
        Ok(all)
    }

    /// The texts from a state that have so many characters at most, one at least.
    fn fast_state(&mut self, offered: &mut Offered, state: u32, reach: usize) -> Result<RuleId> {
        let rule = self.rules.reserve()?;
        let mut all = Vec::new();
        for (set, target) in offered.edges[state as usize].clone() {
            let rest = self.within(offered, target, reach - 1)?;
            for mut pieces in self.ways_of(&set)? {
                pieces.push(Piece::Rule(rest));
                all.push(pieces);
            }
        }
        self.rules.define_closing(rule, all);
        Ok(rule)
    }

    fn within(&mut self, offered: &mut Offered, state: u32, reach: usize) -> Result<RuleId> {
        let key = (offered.horizons.block(state, reach), reach);
        if let Some(&rule) = offered.within.get(&key) {
            return Ok(rule);
        }
        let rule = self.rules.reserve()?;
        offered.within.insert(key, rule);
        offered.open.push((state, reach, rule));
        Ok(rule)
    }

    fn finish_offered(&mut self, offered: &mut Offered) -> Result<()> {
        let (close, never) = (self.close()?, self.never()?);
        while let Some((state, reach, rule)) = offered.open.pop() {
            let mut all = Vec::new();
            if offered.automaton.accepts_at(state) {
                all.push(vec![Piece::Rule(close)]);
            }
            if reach == 0 {
                // More may come in truth, which is for the exact rules to say.
                all.push(vec![Piece::Rule(never)]);
            } else {
                for (set, target) in offered.edges[state as usize].clone() {
                    let rest = self.within(offered, target, reach - 1)?;
                    let one = self.one_of(&set)?;
                    all.push(vec![Piece::Rule(one), Piece::Rule(rest)]);
                }
            }
            self.rules.define(rule, all);
        }
        Ok(())
    }

    /// One character of a set, and for an engine no token that has more. It names another rule, so
    /// that engines do not write it where it is used.
    pub(super) fn one_of(&mut self, set: &CharSet) -> Result<RuleId> {
        if let Some(&known) = self.single.get(set) {
            return Ok(known);
        }
        let mut all = self.ways_of(set)?;
        all.push(vec![Piece::Rule(self.never()?)]);
        let rule = self.rules.reserve()?;
        self.rules.define_alone(rule, all);
        self.single.insert(set.clone(), rule);
        Ok(rule)
    }

    /// The ways to write a character of a set.
    fn ways_of(&mut self, set: &CharSet) -> Result<Vec<Vec<Piece>>> {
        let mut all = Vec::new();
        let raw = set.intersection(plain());
        if !raw.is_empty() {
            all.push(vec![Piece::Class(raw)]);
        }
        let forced = set.intersection(special());
        if forced == *special() {
            let escaped = self.escaped()?;
            all.push(vec![Piece::Text("\\".into()), Piece::Rule(escaped)]);
        } else if !forced.is_empty() {
            let rule = if let Some(&known) = self.some_escapes.get(&forced) {
                known
            } else {
                let made = self.rules.add(escapes_of(&forced))?;
                self.some_escapes.insert(forced, made);
                made
            };
            all.push(vec![Piece::Rule(rule)]);
        }
        Ok(all)
    }

    /// What no text is: an end that never comes. Where nothing is offered, it is left out with all
    /// that names it.
    pub(super) fn never(&mut self) -> Result<RuleId> {
        if let Some(rule) = self.never {
            return Ok(rule);
        }
        let rule = if self.is_shared() {
            self.rules.verbatim("[]")?
        } else {
            self.rules.reserve()?
        };
        self.never = Some(rule);
        Ok(rule)
    }
}

impl<'a> Offered<'a> {
    fn of(automaton: &'a Automaton) -> Self {
        let states = (0..).take(automaton.len());
        Self {
            automaton,
            edges: states.map(|state| automaton.edges(state)).collect(),
            open_ended: Vec::new(),
            horizons: Horizons::default(),
            within: Map::default(),
            open: Vec::new(),
        }
    }

    /// Whether the states from which a dead end can be reached are written as they are; none where
    /// all states are.
    fn is_light(&mut self, live: &[bool]) -> Option<bool> {
        let weight = |edges: &Vec<(CharSet, u32)>| {
            let kept = edges.iter().filter(|edge| live[edge.1 as usize]);
            kept.map(|edge| weight_of(&edge.0)).sum()
        };
        let weights: Vec<u32> = self.edges.iter().map(weight).collect();
        let sum = weights.iter().map(|&weight| cost(weight)).sum::<u32>();
        if sum <= LIGHT && weights.iter().all(|&weight| weight <= OPEN_LIGHT) {
            return None;
        }
        self.open_ended = self.open_ends(live, &weights);
        for edges in &mut self.edges {
            edges.retain(|edge| live[edge.1 as usize]);
        }
        let states = || (0..).zip(&weights);
        let is_open = |state: u32| self.open_ended[state as usize].is_some();
        let has_open = states()
            .any(|(state, &weight)| is_open(state) && !self.is_free(state) && weight > NARROW);
        let others = states().filter(|&(state, _)| !is_open(state));
        let is_light = others.map(|(_, &weight)| cost(weight)).sum::<u32>() <= LIGHT;
        (!is_light || has_open).then_some(is_light)
    }

    /// Finds characters for each state of which no text, or no short one, leads to a dead state:
    /// all that need no escape, what `.` stands for in a pattern, or the most of what may come.
    fn open_ends(&self, live: &[bool], weights: &[u32]) -> Vec<Option<OpenEnd>> {
        let ways = Ways::of(&self.edges, live);
        let mut found = vec![None; live.len()];
        for set in [plain(), &plain().intersection(&CharSet::dot())] {
            ways.open_ends(set, &mut found);
        }
        let mut sets: Map<CharSet, u32> = Map::default();
        let mut sum = 0;
        let closed = (0..live.len()).filter(|&state| found[state].is_none());
        for state in closed.filter(|&state| live[state] && weights[state] > NARROW) {
            sum += cost(weights[state]);
            let kept = self.edges[state].iter();
            for (set, _) in kept.filter(|edge| live[edge.1 as usize]) {
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

    /// Whether any text may follow a state.
    fn is_free(&self, state: u32) -> bool {
        let all = self.automaton.targets(state).iter();
        self.automaton.accepts_at(state) && all.copied().all(|target| target == state)
    }

    /// For each state how far tokens may reach that are offered there; none: single characters.
    fn reaches(&self, live: &[bool]) -> Vec<Option<usize>> {
        let mut reaches = vec![None; self.automaton.len()];
        let mut left = BUDGET;
        for (reach, sixteenths) in REACHES {
            let mut blocks: Map<u32, Vec<u32>> = Map::default();
            for state in (0..).take(self.automaton.len()) {
                let at = state as usize;
                let is_offered =
                    live[at] && self.open_ended[at].is_none() && !self.edges[at].is_empty();
                if is_offered && reaches[at].is_none() {
                    let block = self.horizons.block(state, reach);
                    blocks.entry(block).or_default().push(state);
                }
            }
            let mut blocks: Vec<Vec<u32>> = blocks.into_values().collect();
            blocks.sort_unstable_by_key(|states| (usize::MAX - states.len(), states[0]));
            for states in blocks {
                let weight = weight(&self.edges[states[0] as usize]) * sixteenths / 16;
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

/// What trying a vocabulary in a state costs.
fn weight(edges: &[(CharSet, u32)]) -> u32 {
    edges.iter().map(|edge| weight_of(&edge.0)).sum()
}

/// The printable characters of ASCII in a set, and as much as thirty for all others.
pub(super) fn weight_of(set: &CharSet) -> u32 {
    let ascii = set.ranges().iter().take_while(|range| range.0 <= 0x7e);
    let sizes = ascii.map(|range| (range.1.min(0x7e) + 1).saturating_sub(range.0.max(0x20)));
    let others = set.ranges().last().is_some_and(|range| range.1 > 0xffff);
    sizes.sum::<u32>() + if others { 30 } else { 0 }
}

#[cfg(test)]
mod tests {
    use crate::grammar::compile;
    use crate::grammar::limits::Options;

    #[test]
    fn what_is_offered_where_anything_may_come_has_an_end() {
        for schema in [
            r#"{"type": "string", "pattern": "^(?!.*secret).*$"}"#,
            r#"{"type": "string", "not": {"pattern": "secret|token"}}"#,
        ] {
            let text = compile(schema.as_bytes(), &Options::default())
                .unwrap()
                .text;
            assert!(!text.contains("]*"), "{text}");
        }
    }
}
