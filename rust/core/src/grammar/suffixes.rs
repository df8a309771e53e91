//! The ends of a few words, as an automaton: which texts are a suffix of some word.
//!
//! The online construction of Blumer and others, for several words one after the other. It knows
//! words as numbers; [`super::open_strings`] says what they stand for.

/// A state of [`Suffixes`]; 0 is the start.
pub type State = u32;

const NOWHERE: State = State::MAX;

#[derive(Clone, Debug)]
struct Node {
    length: u32,
    link: State,
    /// Sorted by symbol.
    next: Vec<(u32, State)>,
    is_end: bool,
}

/// The suffix automaton of some words; all its states can reach an end.
#[derive(Debug)]
pub struct Suffixes {
    nodes: Vec<Node>,
}

impl Suffixes {
    /// The automaton of words; time and states grow with their total length.
    pub fn of<W: IntoIterator<Item = u32>>(words: impl IntoIterator<Item = W>) -> Self {
        let mut made = Self {
            nodes: vec![Node {
                length: 0,
                link: NOWHERE,
                next: Vec::new(),
                is_end: true,
            }],
        };
        let mut lasts = Vec::new();
        for word in words {
            lasts.push(
                word.into_iter()
                    .fold(0, |last, symbol| made.extended(last, symbol)),
            );
        }
        for mut at in lasts {
            while at != NOWHERE && !made.nodes[at as usize].is_end {
                made.nodes[at as usize].is_end = true;
                at = made.nodes[at as usize].link;
            }
        }
        made
    }

    /// Whether the texts that lead to a state are suffixes of a word.
    pub fn is_end(&self, state: State) -> bool {
        self.nodes[state as usize].is_end
    }

    /// The symbols that lead on from a state, in order, and where to.
    pub fn edges(&self, state: State) -> &[(u32, State)] {
        &self.nodes[state as usize].next
    }

    /// Where a symbol leads; none where the longer text is within no word.
    pub fn step(&self, state: State, symbol: u32) -> Option<State> {
        let next = &self.nodes[state as usize].next;
        let place = next.binary_search_by_key(&symbol, |edge| edge.0).ok()?;
        Some(next[place].1)
    }

    fn extended(&mut self, last: State, symbol: u32) -> State {
        if let Some(known) = self.step(last, symbol) {
            return self.of_length(last, symbol, known);
        }
        let fresh = self.push(Node {
            length: self.nodes[last as usize].length + 1,
            link: NOWHERE,
            next: Vec::new(),
            is_end: false,
        });
        let mut at = last;
        while at != NOWHERE {
            if let Some(known) = self.step(at, symbol) {
                self.nodes[fresh as usize].link = self.of_length(at, symbol, known);
                return fresh;
            }
            self.lead(at, symbol, fresh);
            at = self.nodes[at as usize].link;
        }
        self.nodes[fresh as usize].link = 0;
        fresh
    }

    /// The target of an edge, split off where it also stands for longer texts.
    fn of_length(&mut self, from: State, symbol: u32, target: State) -> State {
        let length = self.nodes[from as usize].length + 1;
        if self.nodes[target as usize].length == length {
            return target;
        }
        let mut copy = self.nodes[target as usize].clone();
        copy.length = length;
        let copy = self.push(copy);
        self.nodes[target as usize].link = copy;
        let mut at = from;
        while at != NOWHERE && self.step(at, symbol) == Some(target) {
            self.lead(at, symbol, copy);
            at = self.nodes[at as usize].link;
        }
        copy
    }

    fn push(&mut self, node: Node) -> State {
        let id = State::try_from(self.nodes.len()).unwrap_or(NOWHERE);
        self.nodes.push(node);
        id
    }

    fn lead(&mut self, from: State, symbol: u32, to: State) {
        let next = &mut self.nodes[from as usize].next;
        match next.binary_search_by_key(&symbol, |edge| edge.0) {
            Ok(place) => next[place].1 = to,
            Err(place) => next.insert(place, (symbol, to)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Suffixes;

    #[test]
    fn exactly_the_suffixes_are_ends() {
        let words = ["abcbc", "bcab", "", "aa", "abcb"];
        let made = Suffixes::of(words.map(|word| word.chars().map(u32::from)));
        let mut texts = vec![String::new()];
        for _ in 0..6 {
            let longer = texts
                .iter()
                .flat_map(|t| ['a', 'b', 'c'].map(|c| format!("{t}{c}")));
            texts = longer.chain(texts.iter().cloned()).collect();
            texts.sort_unstable();
            texts.dedup();
        }
        for text in texts {
            let state = text
                .chars()
                .try_fold(0, |state, c| made.step(state, u32::from(c)));
            let expected = words.iter().any(|word| word.ends_with(&text));
            assert_eq!(state.is_some_and(|s| made.is_end(s)), expected, "{text}");
            let within = words.iter().any(|word| word.contains(&text));
            assert_eq!(state.is_some(), within, "{text}");
        }
    }
}
