//! All strings but a few: free strings, and the names that an object does not declare.
//!
//! An engine pays for each state in which almost any character may come, so that all these sets of
//! one grammar share one such state. Let `W` be all excluded words, and a text `t` be split as
//! `u c w`, where `w` is the longest suffix of `t` that ends some word of `W`. Then `t` is no such
//! word, and after the character `c` only a few narrow states are left: those of the suffixes `w`
//! for which `c w` ends no word. A text that is such a suffix as a whole is split behind a mark
//! before its start instead. Sets that exclude fewer words add the others as literals.

use std::rc::Rc;

use super::charset::{CharSet, char_of, code_of};
use super::emission::Emission;
use super::escapes::quoted;
use super::hash::Map;
use super::refusal::Result;
use super::rules::{Piece, RuleId};
use super::string_rules::Ending;
use super::suffixes::{State, Suffixes};

/// The mark before the start of each word; no character has this code.
const START: u32 = u32::MAX;
/// Characters of words that one wide state tells apart; each costs about three narrow states.
const CLUSTER_CHARACTERS_MAX: usize = 6_000;
/// References from sets to groups of words, in one cluster.
const CLUSTER_REFERENCES_MAX: usize = 20_000;

type Words = Rc<[Rc<str>]>;

/// The sets that were asked for; their rules are made when all are known.
#[derive(Debug, Default)]
pub(super) struct OpenStrings {
    rules: Map<Words, RuleId>,
    order: Vec<(Words, RuleId)>,
}

impl Emission<'_, '_> {
    /// The rule for the strings that are none of these words, behind the opening mark.
    pub(super) fn all_but(&mut self, excluded: Words) -> Result<RuleId> {
        if let Some(&rule) = self.open_strings.rules.get(&excluded) {
            return Ok(rule);
        }
        let rule = self.rules.reserve()?;
        self.open_strings.rules.insert(Rc::clone(&excluded), rule);
        self.open_strings.order.push((excluded, rule));
        Ok(rule)
    }

    /// Makes the rules that [`Self::all_but`] promised.
    pub(super) fn finish_open_strings(&mut self) -> Result<()> {
        let order = std::mem::take(&mut self.open_strings.order);
        let mut from = 0;
        while from < order.len() {
            let mut cluster = Cluster::default();
            let mut to = from;
            while to < order.len() && (to == from || cluster.has_room(&order[to].0)) {
                cluster.add(&order[to].0);
                to += 1;
            }
            self.cluster(&cluster, &order[from..to])?;
            from = to;
        }
        Ok(())
    }

    fn cluster(&mut self, cluster: &Cluster, sets: &[(Words, RuleId)]) -> Result<()> {
        if cluster.words.is_empty() {
            // All strings: a character at a time is half as wide, and the same in every grammar.
            let tail = self.plain_tail()?;
            for (_, rule) in sets {
                self.rules.define(*rule, vec![vec![Piece::Rule(tail)]]);
            }
            return Ok(());
        }
        let words: Vec<&Rc<str>> = cluster.words.keys().collect();
        let outside = self.outside(&words)?;
        let mut groups: Map<&[u32], Vec<&Rc<str>>> = Map::default();
        for (word, excluded_by) in &cluster.words {
            groups.entry(excluded_by).or_default().push(word);
        }
        let mut groups: Vec<(&[u32], Vec<&Rc<str>>)> = groups.into_iter().collect();
        for group in &mut groups {
            group.1.sort_unstable();
        }
        groups.sort_unstable();
        let mut literals = Vec::with_capacity(groups.len());
        let close = self.close()?;
        for (excluded_by, words) in groups {
            let all = words.iter().map(|word| {
                let written = quoted(word);
                let inner = written[1..written.len() - 1].to_owned();
                vec![Piece::Text(inner.into()), Piece::Rule(close)]
            });
            literals.push((excluded_by, self.rules.add(all.collect())?));
        }
        for (number, (_, rule)) in (0_u32..).zip(sets) {
            let inside = literals
                .iter()
                .filter(|group| group.0.binary_search(&number).is_err());
            let all = outside
                .iter()
                .chain(inside.map(|group| &group.1))
                .map(|&rule| vec![Piece::Rule(rule)])
                .collect();
            self.rules.define(*rule, all);
        }
        Ok(())
    }

    /// The rules for the strings that are none of these words: long ones and whole suffixes.
    fn outside(&mut self, words: &[&Rc<str>]) -> Result<[RuleId; 2]> {
        let marked = words
            .iter()
            .map(|word| std::iter::once(START).chain(word.chars().map(code_of)));
        let mut ends = Ends {
            suffixes: Suffixes::of(marked),
            rules: Map::default(),
            open: Vec::new(),
        };
        let wide = self.rules.reserve()?;
        let mut all = Vec::new();
        self.edge(&CharSet::all(), wide, Ending::Quote, &mut all)?;
        let known: Vec<u32> = ends.letters(0).map(|edge| edge.0).collect();
        let ranges = known.iter().map(|&code| (code, code)).collect();
        let others = CharSet::from_codes(ranges).complement();
        let after_others = ends.rule(self, 0, None)?;
        self.edge(&others, after_others, Ending::Quote, &mut all)?;
        for code in known {
            let longer = ends.suffixes.step(0, code);
            let after = ends.rule(self, 0, longer)?;
            let only = CharSet::from_codes(vec![(code, code)]);
            self.edge(&only, after, Ending::Quote, &mut all)?;
        }
        self.rules.define_closing(wide, all);
        let longer = ends.suffixes.step(0, START);
        let whole = ends.rule(self, 0, longer)?;
        ends.define(self)?;
        Ok([wide, whole])
    }
}

/// Sets whose rules share one wide state.
#[derive(Default)]
struct Cluster {
    /// Each word with the sets that exclude it, in order.
    words: std::collections::BTreeMap<Rc<str>, Vec<u32>>,
    characters: usize,
    sets: u32,
}

impl Cluster {
    fn has_room(&self, words: &Words) -> bool {
        let fresh = words.iter().filter(|word| !self.words.contains_key(*word));
        let more: usize = fresh.map(|word| word.len()).sum();
        self.characters + more <= CLUSTER_CHARACTERS_MAX
            && (self.sets as usize + 1) * (self.words.len() + words.len()) <= CLUSTER_REFERENCES_MAX
    }

    fn add(&mut self, words: &Words) {
        for word in words.iter() {
            let length = word.len();
            let excluded_by = self.words.entry(Rc::clone(word)).or_insert_with(|| {
                self.characters += length;
                Vec::new()
            });
            excluded_by.push(self.sets);
        }
        self.sets += 1;
    }
}

/// The rules for what may follow the character that ends no word with them.
struct Ends {
    suffixes: Suffixes,
    rules: Map<(State, Option<State>), RuleId>,
    open: Vec<(State, Option<State>)>,
}

impl Ends {
    /// The rule of a suffix, and of the suffix longer by that character if there is such a one.
    fn rule(
        &mut self,
        emission: &mut Emission,
        state: State,
        longer: Option<State>,
    ) -> Result<RuleId> {
        if let Some(&rule) = self.rules.get(&(state, longer)) {
            return Ok(rule);
        }
        let rule = emission.rules.reserve()?;
        self.rules.insert((state, longer), rule);
        self.open.push((state, longer));
        Ok(rule)
    }

    fn letters(&self, state: State) -> impl Iterator<Item = (u32, State)> {
        let edges = self.suffixes.edges(state).iter();
        edges.copied().filter(|edge| edge.0 != START)
    }

    fn define(&mut self, emission: &mut Emission) -> Result<()> {
        let mut letters = Vec::new();
        while let Some((state, longer)) = self.open.pop() {
            let is_taken = longer.is_some_and(|longer| self.suffixes.is_end(longer));
            let may_close = self.suffixes.is_end(state) && !is_taken;
            letters.clear();
            for at in 0..self.suffixes.edges(state).len() {
                let (code, next) = self.suffixes.edges(state)[at];
                if code != START {
                    let longer = longer.and_then(|longer| self.suffixes.step(longer, code));
                    letters.push((char_of(code), self.rule(emission, next, longer)?));
                }
            }
            let rule = self.rules[&(state, longer)];
            let letters = letters.iter().copied();
            emission.rules.define_letters(rule, may_close, letters);
        }
        Ok(())
    }
}
