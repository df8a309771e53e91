//! Sets of strings: values of `type: string` and names of properties alike.
//!
//! Small sets of literals and their complements stay symbolic; patterns and formats are
//! automata, made once; intersections wait until somebody asks for an automaton (see
//! `text_automata.rs`).

use std::rc::Rc;
use std::sync::Arc;

use super::automaton::Automaton;
use super::formats::{self, Format};
use super::hash::Map;
use super::pattern_search::{SearchFault, texts_with, texts_with_wide_dots};
use super::work::Work;

/// The index of a set in [`Texts`].
pub type TextsId = u32;

/// Every string.
pub const ALL: TextsId = 0;
/// No string.
pub const NONE: TextsId = 1;

/// One set; lists are sorted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextSet {
    /// These.
    Finite(Rc<[Rc<str>]>),
    /// All but these.
    AllBut(Rc<[Rc<str>]>),
    /// Strings of so many characters.
    Length(u32, Option<u32>),
    /// Strings in which the pattern is found.
    Pattern(Rc<str>),
    /// Strings of a known format.
    Format(&'static str),
    /// Strings of a finished automaton.
    Ready(Arc<Automaton>),
    /// Strings of all of these sets; at least two, none of them finite.
    Both(Rc<[TextsId]>),
    /// Strings of one of these sets at least; at least two, none of them finite.
    Either(Rc<[TextsId]>),
    /// Strings that are surely not of a pattern, format or finished automaton.
    Not(TextsId),
}

/// Work that it is to look at one part of a set, or one of its strings.
pub const STEPS_OF_AN_ENTRY: usize = 24;
/// Work that a character is for an automaton, which is looked up where nobody was before.
const STEPS_OF_A_CHARACTER: usize = 8;

impl TextSet {
    /// The strings or sets that it lists, and itself.
    fn entries(&self) -> usize {
        1 + match self {
            Self::Finite(texts) | Self::AllBut(texts) => texts.len(),
            Self::Both(parts) | Self::Either(parts) => parts.len(),
            _ => 0,
        }
    }
}

/// The sets of one compilation.
#[derive(Debug)]
pub struct Texts {
    sets: Vec<TextSet>,
    ids: Map<TextSet, TextsId>,
    pub(super) automata: Vec<Option<Arc<Automaton>>>,
    partial: Vec<bool>,
    /// For patterns that readers understand differently: the texts in which some reader finds them.
    pub(super) outer: Map<TextsId, Arc<Automaton>>,
    pub(super) work: Rc<Work>,
}

impl Texts {
    /// Only [`ALL`] and [`NONE`] so far.
    pub fn new(work: Rc<Work>) -> Self {
        let mut texts = Self {
            sets: Vec::new(),
            ids: Map::default(),
            automata: Vec::new(),
            partial: Vec::new(),
            outer: Map::default(),
            work,
        };
        texts.intern(TextSet::AllBut(Rc::from([])));
        texts.intern(TextSet::Finite(Rc::from([])));
        texts
    }

    fn intern(&mut self, set: TextSet) -> TextsId {
        self.work.count(STEPS_OF_AN_ENTRY * set.entries());
        if let Some(&id) = self.ids.get(&set) {
            return id;
        }
        let id = TextsId::try_from(self.sets.len()).unwrap_or(TextsId::MAX);
        self.partial.push(match &set {
            TextSet::Format(name) => formats::known(name).is_some_and(|format| !format.exact),
            TextSet::Both(parts) | TextSet::Either(parts) => {
                parts.iter().any(|&part| self.partial[part as usize])
            }
            TextSet::Not(inner) => self.partial[*inner as usize],
            _ => false,
        });
        self.sets.push(set.clone());
        self.automata.push(None);
        self.ids.insert(set, id);
        id
    }

    /// How many strings or sets a set lists.
    pub fn entries(&self, id: TextsId) -> usize {
        self.get(id).entries()
    }

    /// The set behind an id.
    pub fn get(&self, id: TextsId) -> &TextSet {
        &self.sets[id as usize]
    }

    /// Exactly these strings.
    pub fn finite(&mut self, mut texts: Vec<Rc<str>>) -> TextsId {
        // Mostly two lists that are in order.
        texts.sort();
        texts.dedup();
        self.intern(TextSet::Finite(texts.into()))
    }

    /// All strings but these.
    pub fn all_but(&mut self, mut texts: Vec<Rc<str>>) -> TextsId {
        texts.sort();
        texts.dedup();
        self.intern(TextSet::AllBut(texts.into()))
    }

    /// Strings of `min..=max` characters.
    pub fn length(&mut self, min: u32, max: Option<u32>) -> TextsId {
        match max {
            None if min == 0 => ALL,
            Some(max) if max < min => NONE,
            _ => self.intern(TextSet::Length(min, max)),
        }
    }

    /// Strings in which a pattern is found.
    ///
    /// # Errors
    /// Why the pattern has no automaton.
    pub fn pattern(&mut self, pattern: &str) -> std::result::Result<TextsId, SearchFault> {
        let key = TextSet::Pattern(pattern.into());
        if let Some(&id) = self.ids.get(&key) {
            return Ok(id);
        }
        let mut automaton = texts_with(pattern, &self.work)?;
        if pattern.contains('.') && pattern.contains("(?!") {
            // Behind a `not`, the narrower dot of ECMA-262 lets more through than the wide one.
            let wide = texts_with_wide_dots(pattern, &self.work)?;
            automaton = automaton.intersection(&wide, &self.work)?;
        }
        if automaton.is_all() {
            return Ok(ALL);
        }
        if automaton.is_none() {
            return Ok(NONE);
        }
        if let Some(texts) = few_texts(pattern, &automaton) {
            return Ok(self.finite(texts));
        }
        let id = self.intern(key);
        self.automata[id as usize] = Some(Arc::new(automaton));
        Ok(id)
    }

    /// Strings of a known format.
    pub fn format(&mut self, format: &'static Format) -> TextsId {
        let id = self.intern(TextSet::Format(format.name));
        self.automata[id as usize] = Some(format.automaton());
        id
    }

    /// Whether some strings of the set may be left out, for a format that is only known in part.
    pub fn is_partial(&self, id: TextsId) -> bool {
        self.partial[id as usize]
    }

    /// Strings of a finished automaton.
    pub fn ready(&mut self, automaton: Automaton) -> TextsId {
        let automaton = Arc::new(automaton);
        let id = self.intern(TextSet::Ready(Arc::clone(&automaton)));
        self.automata[id as usize] = Some(automaton);
        id
    }

    /// What is surely not in the set. Negation goes down to the leaves, so that a set that is
    /// known in part never turns into too large a complement.
    pub fn not(&mut self, id: TextsId) -> TextsId {
        let opposite = match self.get(id).clone() {
            TextSet::Finite(texts) => TextSet::AllBut(texts),
            TextSet::AllBut(texts) => TextSet::Finite(texts),
            TextSet::Not(inner) => return inner,
            TextSet::Length(min, None) => TextSet::Length(0, Some(min - 1)),
            TextSet::Length(0, Some(max)) => TextSet::Length(max + 1, None),
            TextSet::Length(min, Some(max)) => {
                let short = self.length(0, Some(min - 1));
                let long = self.length(max + 1, None);
                return self.or(short, long);
            }
            TextSet::Both(parts) => {
                return parts.iter().fold(NONE, |all, &part| {
                    let part = self.not(part);
                    self.or(all, part)
                });
            }
            TextSet::Either(parts) => {
                return parts.iter().fold(ALL, |all, &part| {
                    let part = self.not(part);
                    self.and(all, part)
                });
            }
            TextSet::Pattern(pattern) => {
                self.note_outer(id, &pattern);
                TextSet::Not(id)
            }
            TextSet::Format(_) | TextSet::Ready(_) => TextSet::Not(id),
        };
        self.intern(opposite)
    }

    /// What is in either.
    pub fn or(&mut self, left: TextsId, right: TextsId) -> TextsId {
        if left == right || right == NONE || left == ALL {
            return left;
        }
        if left == NONE || right == ALL {
            return right;
        }
        match (self.get(left).clone(), self.get(right).clone()) {
            (TextSet::Finite(a), TextSet::Finite(b)) => {
                return self.finite(a.iter().chain(b.iter()).cloned().collect());
            }
            (TextSet::AllBut(excluded), _) if !self.is_partial(right) => {
                let kept = excluded.iter().filter(|text| !self.contains(right, text));
                return self.all_but(kept.cloned().collect());
            }
            (_, TextSet::AllBut(excluded)) if !self.is_partial(left) => {
                let kept = excluded.iter().filter(|text| !self.contains(left, text));
                return self.all_but(kept.cloned().collect());
            }
            _ => {}
        }
        let mut parts = Vec::new();
        for id in [left, right] {
            match self.get(id) {
                TextSet::Either(inner) => parts.extend_from_slice(inner),
                _ => parts.push(id),
            }
        }
        // To look through them costs as much as to keep them, which `intern` counts.
        self.work.count(STEPS_OF_AN_ENTRY * parts.len());
        parts.sort_unstable();
        parts.dedup();
        if parts
            .iter()
            .any(|&id| matches!(self.get(id), TextSet::Not(x) if parts.binary_search(x).is_ok()))
            && !parts.iter().any(|&part| self.is_partial(part))
        {
            return ALL;
        }
        match parts.as_slice() {
            [one] => *one,
            _ => self.intern(TextSet::Either(parts.into())),
        }
    }

    /// What is in both.
    pub fn and(&mut self, left: TextsId, right: TextsId) -> TextsId {
        if left == right || right == ALL {
            return left;
        }
        if left == ALL || left == NONE {
            return if left == ALL { right } else { NONE };
        }
        let mut parts = Vec::new();
        for id in [left, right] {
            match self.get(id) {
                TextSet::Both(inner) => parts.extend_from_slice(inner),
                _ => parts.push(id),
            }
        }
        self.and_parts(parts)
    }

    fn and_parts(&mut self, parts: Vec<TextsId>) -> TextsId {
        // As in `or`.
        self.work.count(STEPS_OF_AN_ENTRY * parts.len());
        let finite = parts
            .iter()
            .position(|&id| matches!(self.get(id), TextSet::Finite(_)));
        if let Some(at) = finite.filter(|_| !parts.iter().any(|&part| self.is_partial(part))) {
            let TextSet::Finite(texts) = self.get(parts[at]).clone() else {
                return NONE;
            };
            let inside = |text: &Rc<str>| parts.iter().all(|&id| self.contains(id, text));
            let kept = texts.iter().filter(|text| inside(text)).cloned().collect();
            return self.finite(kept);
        }
        let (mut min, mut max, mut excluded) = (0, None::<u32>, Vec::new());
        let mut rest = Vec::new();
        for id in parts {
            match self.get(id) {
                TextSet::Length(low, high) => {
                    min = min.max(*low);
                    max = match (max, *high) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                }
                TextSet::AllBut(texts) => excluded.extend(texts.iter().cloned()),
                _ => rest.push(id),
            }
        }
        let length = self.length(min, max);
        if length == NONE {
            return NONE;
        }
        if length != ALL {
            rest.push(length);
        }
        excluded.retain(|text| rest.iter().all(|&id| self.contains(id, text)));
        if !excluded.is_empty() {
            rest.push(self.all_but(excluded));
        }
        rest.sort_unstable();
        rest.dedup();
        if rest
            .iter()
            .any(|&id| matches!(self.get(id), TextSet::Not(x) if rest.binary_search(x).is_ok()))
        {
            return NONE;
        }
        match rest.as_slice() {
            [] => ALL,
            [one] => *one,
            _ => self.intern(TextSet::Both(rest.into())),
        }
    }

    /// Whether a string is in the set.
    pub fn contains(&self, id: TextsId, text: &str) -> bool {
        self.work.count(STEPS_OF_AN_ENTRY + text.len());
        let among = |texts: &[Rc<str>]| texts.binary_search_by(|one| (**one).cmp(text)).is_ok();
        match self.get(id) {
            TextSet::Finite(texts) => among(texts),
            TextSet::AllBut(texts) => !among(texts),
            TextSet::Length(min, max) => {
                let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
                length >= *min && max.is_none_or(|max| length <= max)
            }
            TextSet::Pattern(_) | TextSet::Format(_) | TextSet::Ready(_) => {
                self.work.count(STEPS_OF_A_CHARACTER * text.len());
                let made = self.automata[id as usize].as_ref();
                made.is_some_and(|made| made.contains(text))
            }
            TextSet::Both(parts) => parts.iter().all(|&part| self.contains(part, text)),
            TextSet::Either(parts) => parts.iter().any(|&part| self.contains(part, text)),
            TextSet::Not(inner) => self
                .outer_automaton(*inner)
                .is_some_and(|outer| !outer.contains(text)),
        }
    }
}

/// The few strings of a pattern such as `^(a|b)$`; literals are cheaper than automata.
fn few_texts(pattern: &str, automaton: &Automaton) -> Option<Vec<Rc<str>>> {
    let anchored = pattern.starts_with('^') && pattern.ends_with('$');
    let texts = anchored.then(|| automaton.texts(64)).flatten()?;
    Some(texts.iter().map(|text| Rc::from(text.as_str())).collect())
}
