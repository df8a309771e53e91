//! The states of a pattern as rules, where an engine would pay too much for each.
//!
//! As in [`super::counted_strings`], what is exact is apart from what is offered. A state's exact
//! rule names a rule for one character of each edge, beyond which no token is offered. Beside it
//! stands a rule that says which longer tokens may come, as [`super::offer_plan`] decides. States
//! of one block share it: those of a long counted run do, but near its end.
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
use super::offer_plan::{Edges, OfferPlan};
use super::open_ends::OpenEnd;
use super::refusal::Result;
use super::rules::{Piece, RuleId};
use super::state_rules::Ending;

/// States beyond which offering is not tried.
const STATES_MAX: usize = 2_000;

/// The rules that offer tokens, in the making.
struct Offers<'p> {
    plan: &'p OfferPlan<'p>,
    /// By block and reach: texts of so many characters at most, one at least.
    fast: Map<(u32, usize), RuleId>,
    /// The same, or what is before their end.
    within: Map<(u32, usize), RuleId>,
    open: Vec<(u32, usize, RuleId)>,
}

impl Emission<'_, '_> {
    /// The rules of an automaton's states, or none where they are written as they are.
    pub(super) fn offered_states(
        &mut self,
        automaton: &Automaton,
        live: &[bool],
        edges: &[Edges],
    ) -> Result<Option<Vec<RuleId>>> {
        if !self.is_shared() || automaton.len() > STATES_MAX {
            return Ok(None);
        }
        // They were looked up once; the plan goes through all of them again.
        self.lowering.work.count(automaton.edge_steps());
        self.lowering.work.check()?;
        let Some(plan) = OfferPlan::of(automaton, live, edges) else {
            return Ok(None);
        };
        let mut offers = Offers {
            plan: &plan,
            fast: Map::default(),
            within: Map::default(),
            open: Vec::new(),
        };
        let mut rules = Vec::with_capacity(automaton.len());
        for _ in 0..automaton.len() {
            rules.push(self.rules.reserve()?);
        }
        for (state, &rule) in (0..).zip(&rules) {
            if plan.is_free(state) {
                let tail = self.any_tail()?;
                self.rules.define(rule, [[Piece::Rule(tail)]]);
            } else if let Some(open_end) = &plan.open_ended[state as usize] {
                let all = self.open_state(&plan, state, open_end, &rules)?;
                self.rules.define(rule, all);
            } else if plan.is_light {
                let all = self.light_state(&plan, state, &rules)?;
                self.rules.define_closing(rule, all);
            } else {
                let mut all = self.end_or_one(&plan, state, &rules, Self::one_of)?;
                if let Some(reach) = plan.reaches[state as usize] {
                    let fast = self.fast_state(&mut offers, state, reach)?;
                    all.push(vec![Piece::Rule(fast)]);
                }
                self.rules.define(rule, all);
            }
        }
        self.finish_offers(&mut offers)?;
        Ok(Some(rules))
    }

    /// The end, or one character and what follows; beside it what may be offered.
    fn open_state(
        &mut self,
        plan: &OfferPlan,
        state: u32,
        (offers, length): &OpenEnd,
        rules: &[RuleId],
    ) -> Result<Vec<Vec<Piece>>> {
        let offered = self.beginning(offers, *length)?;
        let exact = self.end_or_one(plan, state, rules, Self::character)?;
        Ok(offered.into_iter().chain(exact).collect())
    }

    /// The end, or one character and what follows, in a rule that has the characters itself.
    fn light_state(
        &mut self,
        plan: &OfferPlan,
        state: u32,
        rules: &[RuleId],
    ) -> Result<Vec<Vec<Piece>>> {
        let mut all = Vec::new();
        if plan.accepts_at(state) {
            all.push(vec![Piece::Text("\"".into())]);
        }
        for (set, target) in plan.edges(state) {
            self.edge(set, rules[*target as usize], Ending::Quote, &mut all)?;
        }
        Ok(all)
    }

    /// The end, or one character by its rule and what is exact after it.
    fn end_or_one(
        &mut self,
        plan: &OfferPlan,
        state: u32,
        rules: &[RuleId],
        one_of: impl Fn(&mut Self, &CharSet) -> Result<RuleId>,
    ) -> Result<Vec<Vec<Piece>>> {
        let mut all = Vec::new();
        if plan.accepts_at(state) {
            all.push(vec![Piece::Rule(self.close()?)]);
        }
        for (set, target) in plan.edges(state) {
            let one = one_of(self, set)?;
            all.push(vec![Piece::Rule(one), Piece::Rule(rules[*target as usize])]);
        }
        Ok(all)
    }

    /// The texts from a state that have so many characters at most, one at least.
    fn fast_state(&mut self, offers: &mut Offers, state: u32, reach: usize) -> Result<RuleId> {
        let key = (offers.plan.block(state, reach), reach);
        if let Some(&rule) = offers.fast.get(&key) {
            return Ok(rule);
        }
        let rule = self.rules.reserve()?;
        offers.fast.insert(key, rule);
        let mut all = Vec::new();
        for (set, target) in offers.plan.edges(state) {
            let rest = self.within(offers, *target, reach - 1)?;
            for mut pieces in self.ways_of(set)? {
                pieces.push(Piece::Rule(rest));
                all.push(pieces);
            }
        }
        self.rules.define_closing(rule, all);
        Ok(rule)
    }

    fn within(&mut self, offers: &mut Offers, state: u32, reach: usize) -> Result<RuleId> {
        let key = (offers.plan.block(state, reach), reach);
        if let Some(&rule) = offers.within.get(&key) {
            return Ok(rule);
        }
        let rule = self.rules.reserve()?;
        offers.within.insert(key, rule);
        offers.open.push((state, reach, rule));
        Ok(rule)
    }

    fn finish_offers(&mut self, offers: &mut Offers) -> Result<()> {
        let (close, never) = (self.close()?, self.never()?);
        while let Some((state, reach, rule)) = offers.open.pop() {
            let mut all = Vec::new();
            if offers.plan.accepts_at(state) {
                all.push(vec![Piece::Rule(close)]);
            }
            if reach == 0 {
                // More may come in truth, which is for the exact rules to say.
                all.push(vec![Piece::Rule(never)]);
            } else {
                for (set, target) in offers.plan.edges(state) {
                    let rest = self.within(offers, *target, reach - 1)?;
                    let one = self.one_of(set)?;
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
