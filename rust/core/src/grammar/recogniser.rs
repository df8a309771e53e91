//! The texts of grammars, for tests: whether a text is one, and some that are.

use std::rc::Rc;

use super::charset::code_of;
use super::ebnf::{Expression, Grammar};
use super::hash::Map;
use super::limits::Options;
use super::sample::Sampler;

/// Whether the grammar of a schema derives a text.
pub(super) fn allows(schema: &str, text: &str) -> bool {
    let made = super::compile(schema.as_bytes(), &Options::default()).unwrap();
    let grammar = Grammar::parse(&made.text, usize::MAX).unwrap();
    let mut reader = Recogniser {
        grammar: &grammar,
        text: text.chars().collect(),
        ends: Map::default(),
    };
    let end = reader.text.len();
    reader.rule(grammar.root, 0).contains(&end)
}

struct Recogniser<'g> {
    grammar: &'g Grammar,
    text: Vec<char>,
    /// By rule and place where it begins: the places where it may end.
    ends: Map<(usize, usize), Rc<[usize]>>,
}

impl Recogniser<'_> {
    fn rule(&mut self, rule: usize, from: usize) -> Rc<[usize]> {
        if let Some(known) = self.ends.get(&(rule, from)) {
            return Rc::clone(known);
        }
        // A rule that begins with itself adds nothing to what it derives otherwise.
        self.ends.insert((rule, from), Rc::from([]));
        let grammar = self.grammar;
        let mut ends = self.expression(&grammar.bodies[rule], from);
        ends.sort_unstable();
        ends.dedup();
        let ends: Rc<[usize]> = ends.into();
        self.ends.insert((rule, from), Rc::clone(&ends));
        ends
    }

    fn expression(&mut self, expression: &Expression, from: usize) -> Vec<usize> {
        match expression {
            Expression::Literal(literal) => {
                let mut rest = self.text[from..].iter();
                let fits = literal.chars().all(|one| rest.next() == Some(&one));
                Vec::from_iter(fits.then(|| self.text.len() - rest.len()))
            }
            Expression::Class(set) => {
                let next = self.text.get(from);
                let fits = next.is_some_and(|&one| set.contains(code_of(one)));
                Vec::from_iter(fits.then_some(from + 1))
            }
            Expression::Rule(rule) => self.rule(*rule, from).to_vec(),
            Expression::Sequence(parts) => parts
                .iter()
                .fold(vec![from], |places, part| self.after(part, &places)),
            Expression::Choice(all) => {
                let ways = all.iter().flat_map(|one| self.expression(one, from));
                ways.collect()
            }
            Expression::Repeat(inner, min, max) => {
                let (mut places, mut all) = (vec![from], Vec::new());
                let mut count = 0;
                while !places.is_empty() && max.is_none_or(|max| count <= max) {
                    if count >= *min {
                        places.retain(|place| !all.contains(place));
                        all.extend_from_slice(&places);
                    }
                    places = self.after(inner, &places);
                    count += 1;
                }
                all
            }
        }
    }

    fn after(&mut self, part: &Expression, places: &[usize]) -> Vec<usize> {
        let ends = places
            .iter()
            .flat_map(|&place| self.expression(part, place));
        let mut ends: Vec<usize> = ends.collect();
        ends.sort_unstable();
        ends.dedup();
        ends
    }
}

/// Random texts of the grammar of a schema, the same each time.
pub(super) fn drawn(schema: &str, count: usize) -> Vec<String> {
    let made = super::compile(schema.as_bytes(), &Options::default()).unwrap();
    let grammar = Grammar::parse(&made.text, usize::MAX).unwrap();
    let mut sampler = Sampler::new(grammar, 1).unwrap();
    (0..count).map(|_| sampler.draw(60)).collect()
}
