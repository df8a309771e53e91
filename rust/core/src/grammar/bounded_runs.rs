//! Patterns of bounded length whose only loops repeat one set of characters, such as "at most a
//! hundred words": a bound on each run of characters keeps the whole text within its length.
//!
//! To count the characters in each state of such a pattern would take the product of both. Here a
//! run is counted by rules that all states share, and states are left out past which the longest
//! runs together would be too long. Short runs leave room for more states than long ones, so both
//! ways are taken; what lies between them is left out, which is sound.

use std::collections::hash_map::Entry;

use super::automaton::Automaton;
use super::charset::{CharSet, code_of};
use super::counted_strings::LONGEST;
use super::emission::Emission;
use super::escapes::plain;
use super::hash::Map;
use super::refusal::Result;
use super::rules::{Piece, RuleId};

/// Longest runs of letters; words are rarely longer than the last.
const RUNS: [u32; 3] = [32, 16, 8];
/// Longest runs of what holds no letters, such as blanks between words.
const SHORT_RUN: u32 = 1;

/// A state whose only way back is to itself.
struct Stop {
    /// Whether a text may end there.
    is_end: bool,
    /// What it repeats.
    repeated: Option<CharSet>,
    /// Where else it leads: characters, and the place of a stop that comes later.
    ways: Vec<(CharSet, usize)>,
}

/// A step to another stop: one character, and how many more of which set may come there.
#[derive(PartialEq, Eq, Hash)]
struct Step {
    first: CharSet,
    more: Option<(CharSet, u32)>,
}

impl Step {
    fn to(first: &CharSet, stop: &Stop, run: u32) -> Self {
        let more = stop.repeated.as_ref();
        Self {
            first: first.clone(),
            more: more.map(|set| (set.clone(), longest_run(set, run))),
        }
    }
}

impl Emission<'_, '_> {
    /// The rule of a set of at most `max` characters, behind the opening mark; none where the
    /// automaton has other loops.
    pub(super) fn bounded_runs(&mut self, texts: &Automaton, max: u32) -> Result<Option<RuleId>> {
        self.lowering.work.count(texts.edge_steps());
        self.lowering.work.check()?;
        let Some(stops) = stops(texts) else {
            return Ok(None);
        };
        let mut ways = Vec::new();
        for run in RUNS {
            let within = within(&stops, run, max);
            if !within.first().is_some_and(|&start| start) {
                continue;
            }
            ways.push(vec![Piece::Rule(self.stops(&stops, run, &within)?)]);
            if within.iter().all(|&stop| stop) {
                break;
            }
        }
        if ways.is_empty() {
            return Ok(None);
        }
        self.rules.add(ways).map(Some)
    }

    /// The rule of the first stop.
    fn stops(&mut self, stops: &[Stop], run: u32, within: &[bool]) -> Result<RuleId> {
        // Of each stop what comes behind its run, where something can.
        let mut behind: Vec<Option<RuleId>> = vec![None; stops.len()];
        let mut known = Map::default();
        for (place, stop) in stops.iter().enumerate().rev() {
            let mut all = Vec::new();
            if stop.is_end {
                all.push(vec![Piece::Rule(self.close()?)]);
            }
            for (set, target) in &stop.ways {
                let (way, end) = steps(stops, set, *target, run);
                let Some(next) = behind[end] else {
                    continue;
                };
                // They are the same rules wherever they lead.
                let (exact, offered) = match known.entry(way) {
                    Entry::Occupied(made) => *made.get(),
                    Entry::Vacant(fresh) => {
                        let made = self.steps(fresh.key())?;
                        *fresh.insert(made)
                    }
                };
                all.push(vec![Piece::Rule(exact), Piece::Rule(next)]);
                all.extend(offered.map(|rule| vec![Piece::Rule(rule)]));
            }
            if within[place] && !all.is_empty() {
                behind[place] = Some(self.rules.add(all)?);
            }
        }
        let (Some(first), Some(&Some(rest))) = (stops.first(), behind.first()) else {
            return self.rules.reserve();
        };
        let mut pieces = Vec::new();
        if let Some(set) = &first.repeated {
            let many = self.run_of(set, longest_run(set, run))?;
            pieces.push(Piece::Rule(many));
        }
        pieces.push(Piece::Rule(rest));
        self.rules.add([pieces])
    }

    /// The rule of some steps, and one for what may be offered of them, as in strings that are
    /// counted: the first character of each and more behind the last one.
    fn steps(&mut self, steps: &[Step]) -> Result<(RuleId, Option<RuleId>)> {
        let mut exact = Vec::new();
        let mut offered = Vec::new();
        for step in steps {
            let one = self.character(&step.first)?;
            exact.push(Piece::Rule(one));
            offered.push(Piece::Rule(one));
            if let Some((set, most)) = &step.more {
                exact.push(Piece::Rule(self.run_of(set, *most)?));
            }
        }
        let exact = self.rules.add([exact])?;
        let raw = steps[0].first.intersection(plain());
        if raw.is_empty() || !self.is_shared() {
            return Ok((exact, None));
        }
        offered[0] = Piece::Class(raw);
        if let Some((set, most)) = steps.last().and_then(|step| step.more.as_ref()) {
            let one = self.character(set)?;
            let left = (LONGEST as usize - steps.len()).min(*most as usize);
            offered.extend(std::iter::repeat_n(Piece::Rule(one), left));
        }
        offered.push(Piece::Rule(self.never()?));
        let rule = self.rules.reserve()?;
        self.rules.define_alone(rule, [offered]);
        Ok((exact, Some(rule)))
    }

    /// At most so many characters of a set.
    fn run_of(&mut self, set: &CharSet, most: u32) -> Result<RuleId> {
        if let Some(&rule) = self.character_runs.get(&(set.clone(), most)) {
            return Ok(rule);
        }
        let mut all = vec![Vec::new()];
        if most > 0 {
            // No character stands in the rule itself, as in strings that are counted.
            let (less, one) = (self.run_of(set, most - 1)?, self.character(set)?);
            all.push(vec![Piece::Rule(one), Piece::Rule(less)]);
            all.extend(self.beginning(set, most)?);
        }
        let rule = self.rules.add(all)?;
        self.character_runs.insert((set.clone(), most), rule);
        Ok(rule)
    }
}

/// The live states, each before those it leads to; none where some loop has more than one state.
fn stops(texts: &Automaton) -> Option<Vec<Stop>> {
    let live = texts.live();
    let mut found = Vec::new();
    // Of each state: not seen, begun, done.
    let mut seen = vec![0_u8; texts.len()];
    let mut places = vec![0; texts.len()];
    let mut open = vec![(0_u32, false)];
    while let Some((state, leaving)) = open.pop() {
        let at = state as usize;
        let edges = texts
            .edges(state)
            .into_iter()
            .filter(|edge| live[edge.1 as usize]);
        let (own, ways): (Vec<_>, Vec<_>) = edges.partition(|edge| edge.1 == state);
        if leaving {
            seen[at] = 2;
            let repeated = own.into_iter().next().map(|edge| edge.0);
            places[at] = found.len();
            found.push(Stop {
                is_end: texts.accepts_at(state),
                repeated,
                ways: ways
                    .into_iter()
                    .map(|(set, target)| (set, target as usize))
                    .collect(),
            });
        } else if seen[at] == 0 && live[at] {
            seen[at] = 1;
            open.push((state, true));
            for way in &ways {
                match seen[way.1 as usize] {
                    0 => open.push((way.1, false)),
                    1 => return None,
                    _ => {}
                }
            }
        }
    }
    found.reverse();
    let last = found.len().checked_sub(1)?;
    for way in found.iter_mut().flat_map(|stop| &mut stop.ways) {
        way.1 = last - places[way.1];
    }
    Some(found)
}

/// The steps that begin with one way, and where they end. What must come next belongs to them: to a
/// blank the word behind it.
fn steps(stops: &[Stop], first: &CharSet, target: usize, run: u32) -> (Vec<Step>, usize) {
    let mut all = vec![Step::to(first, &stops[target], run)];
    let mut end = target;
    if let ([(set, next)], false) = (&*stops[target].ways, stops[target].is_end) {
        end = *next;
        all.push(Step::to(set, &stops[end], run));
    }
    (all, end)
}

fn longest_run(set: &CharSet, run: u32) -> u32 {
    if set.contains(code_of('e')) {
        run
    } else {
        SHORT_RUN
    }
}

/// For each stop, whether every text that ends in it is short enough.
fn within(stops: &[Stop], run: u32, max: u32) -> Vec<bool> {
    let cost = |stop: &Stop| {
        let repeated = stop.repeated.as_ref();
        1 + repeated.map_or(0, |set| longest_run(set, run))
    };
    let mut before = vec![0_u32; stops.len()];
    let mut within = Vec::with_capacity(stops.len());
    for (place, stop) in stops.iter().enumerate() {
        let length = before[place] + cost(stop);
        within.push(length <= max);
        for way in &stop.ways {
            before[way.1] = before[way.1].max(length);
        }
    }
    within
}

#[cfg(test)]
mod tests {
    use crate::grammar::limits::Options;
    use crate::grammar::recogniser::{allows, drawn};

    /// A few words with blanks between them, and at most two hundred characters.
    const WORDS: &str = r#"{"type": "string", "maxLength": 200,
        "pattern": "^[a-zé]+([ \\n]+[a-zé\"]+){0,11}$"}"#;

    #[test]
    fn texts_of_common_words_are_taken() {
        let twelve = ["somewhat"; 12].join(" ");
        let long = "é".repeat(32);
        for text in ["a", "one two", &twelve, &long, "one t\"wo"] {
            let written = serde_json::to_string(text).unwrap();
            assert!(allows(WORDS, &written), "{text}");
        }
    }

    #[test]
    fn what_is_too_long_or_no_match_is_not() {
        let many = ["a"; 13].join(" ");
        let long = "a".repeat(201);
        let together = ["abcdefghijklmnopqrst"; 11].join(" ");
        for text in ["", " ", "one  ", "One", &many, &long, &together] {
            let written = serde_json::to_string(text).unwrap();
            assert!(!allows(WORDS, &written), "{text}");
        }
    }

    #[test]
    fn more_words_are_no_more_sets_of_characters() {
        let sets = |words: u32| {
            let pattern = format!(r"^(\\S+\\s){{0,{words}}}\\S+$");
            let schema =
                format!(r#"{{"type": "string", "maxLength": 5000, "pattern": "{pattern}"}}"#);
            let made = crate::grammar::compile(schema.as_bytes(), &Options::default()).unwrap();
            made.text.matches("\\U0010ffff").count()
        };
        assert_eq!(sets(20), sets(90));
    }

    #[test]
    fn nothing_that_never_comes_is_written_where_nothing_is_offered() {
        let options = Options {
            deterministic: true,
            ..Options::default()
        };
        let text = crate::grammar::compile(WORDS.as_bytes(), &options)
            .unwrap()
            .text;
        assert!(!text.contains("[]"), "{text}");
    }

    #[test]
    fn what_is_drawn_is_short_enough_and_matches() {
        for text in drawn(WORDS, 300) {
            let text: String = serde_json::from_str(&text).unwrap();
            let words: Vec<&str> = text
                .split([' ', '\n'])
                .filter(|word| !word.is_empty())
                .collect();
            assert!((1..=12).contains(&words.len()), "{text:?}");
            assert!(text.chars().count() <= 200, "{text:?}");
            let is_letter = |one: char| one.is_ascii_lowercase() || one == 'é' || one == '"';
            assert!(
                words.iter().all(|word| word.chars().all(is_letter)),
                "{text:?}"
            );
            assert!(!text.ends_with(char::is_whitespace), "{text:?}");
        }
    }
}
