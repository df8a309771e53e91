//! An automaton as rules, one for each of its states.
//!
//! An engine tries its vocabulary in each state in which many characters may come. It is quick
//! where those lead back to the state itself. So a character, and more of the same that follow in
//! another state, are written as a run of them, the last of them and what else that state takes.

use super::automaton::Automaton;
use super::charset::{CharSet, char_of};
use super::emission::Emission;
use super::escapes::{escapes_of, plain, special};
use super::hash::Map;
use super::offer_plan::{Edges, weight_of};
use super::refusal::Result;
use super::rules::{Piece, RuleId};

/// Characters of a set that is not worth a run.
const FEW: u32 = 20;

/// How a run of states ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With the closing quotation mark, of a JSON string.
    Quote,
    /// With nothing, outside of strings: no escapes.
    Plain,
}

/// The rules of states in the making.
#[derive(Default)]
struct StateRules {
    /// By state, and the characters of a run that led there: they do not go on with it.
    known: Map<(u32, Option<CharSet>), RuleId>,
    open: Vec<(u32, Option<CharSet>)>,
}

impl StateRules {
    fn of(&mut self, state: u32, run: Option<CharSet>, from: &mut Emission) -> Result<RuleId> {
        let key = (state, run);
        if let Some(&rule) = self.known.get(&key) {
            return Ok(rule);
        }
        let rule = from.rules.reserve()?;
        self.open.push(key.clone());
        self.known.insert(key, rule);
        Ok(rule)
    }
}

impl Emission<'_, '_> {
    /// The rule of an automaton's start, with one rule for each state that lives.
    pub(super) fn states(&mut self, automaton: &Automaton, ending: Ending) -> Result<RuleId> {
        Ok(self.states_from(automaton, 1, ending)?[0])
    }

    /// The rules of the first states as starts; what they lead to is shared.
    pub(super) fn states_from(
        &mut self,
        automaton: &Automaton,
        starts: u8,
        ending: Ending,
    ) -> Result<Vec<RuleId>> {
        self.lowering.work.count(automaton.edge_steps());
        self.lowering.work.check()?;
        let live = automaton.live();
        let all_edges = (0..).take(automaton.len());
        let all_edges: Vec<Edges> = all_edges.map(|state| automaton.edges(state)).collect();
        if ending == Ending::Quote
            && let Some(mut rules) = self.offered_states(automaton, &live, &all_edges)?
        {
            rules.truncate(usize::from(starts));
            return Ok(rules);
        }
        let mut rules = StateRules::default();
        let starts = 0..u32::from(starts);
        let made: Result<Vec<RuleId>> = starts.map(|start| rules.of(start, None, self)).collect();
        while let Some((state, run)) = rules.open.pop() {
            let rule = rules.known[&(state, run.clone())];
            let accepts = automaton.accepts_at(state);
            let mut edges = all_edges[state as usize].clone();
            if ending == Ending::Quote && accepts && loops_only(&edges, state) {
                let tail = self.any_tail()?;
                self.rules.define(rule, [[Piece::Rule(tail)]]);
                continue;
            }
            edges.retain(|edge| live[edge.1 as usize]);
            if let Some(run) = run {
                without(&mut edges, state, &run);
            }
            let mut all = Vec::new();
            if accepts {
                all.push(match ending {
                    Ending::Quote => vec![Piece::Text("\"".into())],
                    Ending::Plain => Vec::new(),
                });
            }
            for (mut set, target) in edges {
                if ending == Ending::Quote
                    && self.is_shared()
                    && let Some(run) = run_into(automaton, state, &set, target)
                {
                    let rest = rules.of(target, Some(run.clone()), self)?;
                    all.push(run_and(&run, rest));
                    set = set.intersection(&run.complement());
                    if set.is_empty() {
                        continue;
                    }
                }
                let next = rules.of(target, None, self)?;
                self.edge(&set, next, ending, &mut all)?;
            }
            match ending {
                Ending::Quote => self.rules.define_closing(rule, all),
                Ending::Plain => self.rules.define(rule, all),
            }
        }
        made
    }

    /// The alternatives for one character of a set and what follows.
    pub(super) fn edge(
        &mut self,
        set: &CharSet,
        next: RuleId,
        ending: Ending,
        all: &mut Vec<Vec<Piece>>,
    ) -> Result<()> {
        if ending == Ending::Plain {
            all.push(vec![Piece::Class(set.clone()), Piece::Rule(next)]);
            return Ok(());
        }
        let raw = set.intersection(plain());
        if !raw.is_empty() {
            let piece = match raw.ranges() {
                [(low, high)] if low == high => Piece::Text(char_of(*low).to_string().into()),
                _ => Piece::Class(raw),
            };
            all.push(vec![piece, Piece::Rule(next)]);
        }
        let escaped = set.intersection(special());
        if escaped == *special() {
            let any_escape = self.escapes()?;
            all.push(vec![Piece::Rule(any_escape), Piece::Rule(next)]);
            return Ok(());
        }
        if escaped.is_empty() {
            return Ok(());
        }
        // States of one pattern mostly escape the same characters.
        if let Some(&known) = self.some_escapes.get(&escaped) {
            all.push(vec![Piece::Rule(known), Piece::Rule(next)]);
            return Ok(());
        }
        let mut ways = escapes_of(&escaped);
        if ways.len() > 1 {
            let made = self.rules.add(ways)?;
            self.some_escapes.insert(escaped, made);
            ways = vec![vec![Piece::Rule(made)]];
        }
        for mut way in ways {
            way.push(Piece::Rule(next));
            all.push(way);
        }
        Ok(())
    }
}

fn loops_only(edges: &[(CharSet, u32)], state: u32) -> bool {
    matches!(edges, [(_, target)] if *target == state)
}

/// The characters that lead from one state to another, where many lead on within that, these among
/// them, and few others.
fn run_into(automaton: &Automaton, state: u32, set: &CharSet, target: u32) -> Option<CharSet> {
    if target == state || !automaton.targets(target).contains(&target) {
        return None;
    }
    let run = set.intersection(plain());
    if weight_of(&run) <= FEW {
        return None;
    }
    if automaton.accepts_at(target) && automaton.targets(target).iter().all(|&to| to == target) {
        return None;
    }
    let looping = automaton.between(target, target);
    let others = looping.intersection(&run.complement());
    (run.intersection(&looping) == run && weight_of(&others) <= FEW).then_some(run)
}

/// Some characters, one at least, and what follows.
fn run_and(run: &CharSet, rest: RuleId) -> Vec<Piece> {
    let (many, last) = (Piece::Run(run.clone()), Piece::Class(run.clone()));
    vec![many, last, Piece::Rule(rest)]
}

/// Takes away the characters of a run from those with which a state goes on.
fn without(edges: &mut Vec<(CharSet, u32)>, state: u32, run: &CharSet) {
    for (set, target) in edges.iter_mut() {
        if *target == state {
            *set = set.intersection(&run.complement());
        }
    }
    edges.retain(|edge| !edge.0.is_empty());
}

#[cfg(test)]
mod tests {
    use crate::grammar::limits::Options;
    use crate::grammar::recogniser::{allows, drawn};

    /// A word, in which more may come than at its start, and one after a colon.
    const NAMED: &str = r#"{"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*:[a-z]+$"}"#;

    #[test]
    fn a_run_of_characters_is_written_as_one() {
        let made = crate::grammar::compile(NAMED.as_bytes(), &Options::default()).unwrap();
        for run in ["[A-Za-z]* [A-Za-z] r", "[a-z]* [a-z] "] {
            assert!(made.text.contains(run), "{}", made.text);
        }
    }

    #[test]
    fn words_are_taken_as_the_pattern_says() {
        for text in ["a:b", "Ab1_c:word", "a1:b", "a_:b", "aaZ9Z:bb"] {
            assert!(allows(NAMED, &format!("\"{text}\"")), "{text}");
        }
        for text in [
            "", ":b", "a:", "1a:b", "_a:b", "a:B", "a:b1", "a-b:c", "a::b", "a",
        ] {
            assert!(!allows(NAMED, &format!("\"{text}\"")), "{text}");
        }
    }

    #[test]
    fn what_is_drawn_is_a_word_and_another() {
        for text in drawn(NAMED, 300) {
            let (name, word) = text.trim_matches('"').split_once(':').unwrap();
            assert!(
                name.starts_with(|one: char| one.is_ascii_alphabetic()),
                "{text}"
            );
            let is_inner = |one: char| one.is_ascii_alphanumeric() || one == '_';
            assert!(name.chars().all(is_inner), "{text}");
            assert!(!word.is_empty(), "{text}");
            assert!(word.chars().all(|one| one.is_ascii_lowercase()), "{text}");
        }
    }

    #[test]
    fn characters_with_an_escape_may_stand_in_a_run_of_others() {
        let schema = r#"{"type": "string", "pattern": "^[a-z\"]+x$"}"#;
        for text in [r#""ax""#, r#""\"x""#, r#""a\"\"bx""#, r#""a\"xx""#] {
            assert!(allows(schema, text), "{text}");
        }
        for text in [r#""x""#, r#""a\"""#, r#""aX""#, r#""ax\"""#] {
            assert!(!allows(schema, text), "{text}");
        }
    }
}
