//! The texts of small automata, one by one.

use super::automaton::Automaton;
use super::charset::{CharSet, char_of};

/// Beginnings that are looked at for each text that may be found.
const BEGINNINGS_OF_A_TEXT: usize = 64;

/// A beginning of texts: the one that it is longer than by a character, and that character.
type Beginning = (usize, char);

impl Automaton {
    /// The texts of the set if there are at most `count_max` of them.
    pub fn texts(&self, count_max: usize) -> Option<Vec<String>> {
        let live = self.live();
        let mut edges: Vec<Option<Vec<(CharSet, u32)>>> = vec![None; self.len()];
        let mut found = Vec::new();
        let mut all: Vec<Beginning> = vec![(0, char::MAX)];
        let mut open = vec![(0_u32, 0, 0)];
        let mut steps = 0;
        while let Some((state, place, length)) = open.pop() {
            steps += 1;
            if steps > BEGINNINGS_OF_A_TEXT * (count_max + 1) || length > self.len() {
                return None;
            }
            if self.accepts_at(state) {
                found.push(text(&all, place));
                if found.len() > count_max {
                    return None;
                }
            }
            let edges = edges[state as usize].get_or_insert_with(|| {
                let mut edges = self.edges(state);
                edges.retain(|edge| live[edge.1 as usize]);
                edges
            });
            for (set, target) in edges {
                let size: u32 = set.ranges().iter().map(|(low, high)| high - low + 1).sum();
                if size as usize > count_max {
                    return None;
                }
                for code in set.ranges().iter().flat_map(|&(low, high)| low..=high) {
                    open.push((*target, all.len(), length + 1));
                    all.push((place, char_of(code)));
                }
            }
        }
        found.sort_unstable();
        Some(found)
    }
}

/// The text that a beginning is.
fn text(all: &[Beginning], mut place: usize) -> String {
    let mut characters = Vec::new();
    while place > 0 {
        let (shorter, character) = all[place];
        characters.push(character);
        place = shorter;
    }
    characters.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use crate::grammar::pattern_search::texts_with;
    use crate::grammar::work::Work;

    #[test]
    fn few_texts_are_listed_and_many_are_not() {
        let texts = |pattern: &str| {
            let all = texts_with(pattern, &Work::of_states(1_000)).unwrap();
            all.texts(6)
        };
        let listed = ["", "a", "bé", "bé1", "bé2"].map(str::to_owned);
        assert_eq!(texts("^(a|bé[12]?)?$"), Some(listed.to_vec()));
        assert_eq!(texts("^[0-5]$").map(|all| all.len()), Some(6));
        for many in ["^[0-6]$", "^a*$", "^(a|b)(c|d)(e|f)$", "^a+b$", "."] {
            assert_eq!(texts(many), None, "{many}");
        }
    }
}
