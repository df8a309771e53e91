//! The text of a client's grammar for an engine.

use crate::grammar::ebnf::{Expression, Grammar};
use crate::grammar::hash::Map;
use crate::grammar::rule_text::{class, literal};

/// Branches that are written again for repetitions, beyond which the rule is named instead.
const SPREAD_BYTES_MAX: usize = 128 << 10;
/// The same for repetitions inside repetitions: the writer recurs.
const SPREAD_DEPTH_MAX: usize = 8;

/// Writes one grammar.
pub(super) struct Writer<'g> {
    grammar: &'g Grammar,
    lines: Vec<String>,
    /// Rules made for repetitions, by the place in memory of what is repeated.
    known: Map<usize, usize>,
    /// Bytes of branches that were written again for repetitions.
    spread_bytes: usize,
    /// Repetitions inside repetitions, through the rules that they name.
    depth: usize,
}

impl<'g> Writer<'g> {
    pub fn new(grammar: &'g Grammar) -> Self {
        Self {
            grammar,
            lines: Vec::with_capacity(grammar.bodies.len()),
            known: Map::default(),
            spread_bytes: 0,
            depth: 0,
        }
    }

    /// A rule a line.
    pub fn written(mut self) -> String {
        for (place, body) in self.grammar.bodies.iter().enumerate() {
            let line = format!("{} ::= {}\n", self.name(place), self.choice(body));
            self.lines.push(line);
        }
        self.lines.concat()
    }

    fn name(&self, place: usize) -> String {
        if place == self.grammar.root {
            "root".to_owned()
        } else {
            format!("r{place}")
        }
    }

    fn choice(&mut self, of: &Expression) -> String {
        match of {
            Expression::Choice(all) => {
                let all: Vec<String> = all.iter().map(|each| self.sequence(each)).collect();
                all.join(" | ")
            }
            _ => self.sequence(of),
        }
    }

    fn sequence(&mut self, of: &Expression) -> String {
        match of {
            Expression::Sequence(all) if all.is_empty() => "\"\"".to_owned(),
            Expression::Sequence(all) => {
                let all: Vec<String> = all.iter().map(|each| self.part(each)).collect();
                all.join(" ")
            }
            _ => self.part(of),
        }
    }

    fn part(&mut self, of: &Expression) -> String {
        match of {
            Expression::Literal(text) => {
                let mut out = String::from("\"");
                literal(&mut out, text);
                out + "\""
            }
            Expression::Class(set) => {
                let mut out = String::new();
                class(&mut out, set);
                out
            }
            Expression::Rule(place) => self.name(*place),
            Expression::Sequence(_) | Expression::Choice(_) => format!("({})", self.choice(of)),
            Expression::Repeat(inner, min @ (0 | 1), None) if !is_plain(inner) => {
                let again = self.repeated(inner);
                match min {
                    0 => again,
                    _ => format!("{} {again}", self.part(inner)),
                }
            }
            Expression::Repeat(inner, min, max) => {
                let counter = match (min, max) {
                    (0, None) => "*".to_owned(),
                    (1, None) => "+".to_owned(),
                    (0, Some(1)) => "?".to_owned(),
                    (min, None) => format!("{{{min},}}"),
                    (min, Some(max)) => format!("{{{min},{max}}}"),
                };
                match **inner {
                    // A counter behind a counter is no EBNF.
                    Expression::Repeat(..) => format!("({}){counter}", self.part(inner)),
                    _ => format!("{}{counter}", self.part(inner)),
                }
            }
        }
    }

    /// The name of a rule for any number of these.
    fn repeated(&mut self, inner: &Expression) -> String {
        let fresh = self.known.len();
        let number = *self
            .known
            .entry(std::ptr::from_ref(inner) as usize)
            .or_insert(fresh);
        let name = format!("m{number}");
        if number < fresh {
            return name;
        }
        let grammar: &'g Grammar = self.grammar;
        let all = match inner {
            // The branches of a named rule, so that none of them is a rule of its own here.
            Expression::Rule(place)
                if self.depth < SPREAD_DEPTH_MAX && self.spread_bytes < SPREAD_BYTES_MAX =>
            {
                branches(&grammar.bodies[*place])
            }
            other => branches(other),
        };
        self.depth += 1;
        let mut line = format!("{name} ::= \"\"");
        for each in all {
            let each = self.sequence(each);
            line.extend([" | ", &each, " ", &name]);
        }
        line.push('\n');
        self.depth -= 1;
        self.spread_bytes += line.len();
        self.lines.push(line);
        name
    }
}

fn branches(of: &Expression) -> &[Expression] {
    match of {
        Expression::Choice(all) => all,
        other => std::slice::from_ref(other),
    }
}

fn is_plain(of: &Expression) -> bool {
    matches!(of, Expression::Literal(_) | Expression::Class(_))
}
