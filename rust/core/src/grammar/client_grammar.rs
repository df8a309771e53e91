//! Grammars that clients write: read, weighed, and written anew for an engine.
//!
//! What an engine pays for a grammar is decided by shapes that look harmless: a counter multiplies
//! what it counts, and a repeated rule in which almost any character may come is tried for each
//! token of the vocabulary. So counters are bounded by what they stand for, and a repetition of a
//! rule becomes a rule that ends in itself, which says the same.

use super::ebnf::{Expression, Grammar};
use super::hash::Map;
use super::refusal::{Refusal, Result};
use super::rule_text::{class, literal};

/// Bytes of text; hand-written grammars have a few thousand.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Rules; each costs an engine about 15 µs to load.
const RULES_MAX: usize = 2_000;
/// Characters of literals and classes, with counters written out.
const SIZE_MAX: u64 = 20_000;
/// The same of classes of more than a few characters: each costs an engine up to 40 ms.
const WIDE_MAX: u64 = 64;
/// Characters of a class that is not wide; ASCII has about a hundred.
const NARROW_MAX: u32 = 128;
/// Rules followed by one another inside a counter.
const NESTED_MAX: usize = 32;
/// Branches that are written again for repetitions, beyond which the rule is named instead.
const SPREAD_BYTES_MAX: usize = 128 << 10;
/// The same for repetitions inside repetitions: the writer recurs.
const SPREAD_DEPTH_MAX: usize = 8;

/// What a part of a grammar amounts to.
#[derive(Clone, Copy, Default)]
struct Weight {
    size: u64,
    wide: u64,
}

impl Weight {
    fn plus(self, other: Self) -> Self {
        Self {
            size: self.size.saturating_add(other.size),
            wide: self.wide.saturating_add(other.wide),
        }
    }

    fn times(self, count: u64) -> Self {
        Self {
            size: self.size.saturating_mul(count),
            wide: self.wide.saturating_mul(count),
        }
    }
}

/// A client's grammar as an engine gets it: a rule a line, the start rule `root`.
///
/// Cost: linear; a few milliseconds at most.
///
/// # Errors
/// Invalid with the line, or too large with the bound.
pub fn written_anew(text: &str) -> Result<String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Refusal::too_large("grammar_bytes_max", TEXT_BYTES_MAX));
    }
    if !text.contains("::=") {
        return Err(Refusal::invalid("", "there is no `::=` in it"));
    }
    let grammar = Grammar::parse(text, RULES_MAX)?;
    let mut whole = Weight::default();
    for body in &grammar.bodies {
        whole = whole.plus(weight(&grammar, body, false, 0)?);
    }
    within(whole)?;
    if !derives(&grammar) {
        return Err(Refusal::invalid(
            "",
            "the rule `root` never comes to an end",
        ));
    }
    refuse_empty_turns(&grammar)?;
    let mut writer = Writer {
        grammar: &grammar,
        lines: Vec::with_capacity(grammar.bodies.len()),
        known: Map::default(),
        spread_bytes: 0,
        depth: 0,
    };
    for (place, body) in grammar.bodies.iter().enumerate() {
        let line = format!("{} ::= {}\n", writer.name(place), writer.choice(body));
        writer.lines.push(line);
    }
    Ok(writer.lines.concat())
}

fn within(weight: Weight) -> Result<()> {
    if weight.size > SIZE_MAX {
        return Err(Refusal::too_large("grammar_characters_max", 20_000));
    }
    if weight.wide > WIDE_MAX {
        return Err(Refusal::too_large("grammar_wide_classes_max", 64));
    }
    Ok(())
}

/// The weight of an expression; rules count where they stand inside a counter, otherwise once.
fn weight(grammar: &Grammar, of: &Expression, is_counted: bool, depth: usize) -> Result<Weight> {
    let sum = |all: &[Expression]| {
        all.iter().try_fold(Weight::default(), |sum, each| {
            let sum = sum.plus(weight(grammar, each, is_counted, depth)?);
            // A sum past the bound ends the walk, so that shared rules are not walked for ever.
            within(sum).map(|()| sum)
        })
    };
    Ok(match of {
        Expression::Literal(text) => Weight {
            size: text.len() as u64,
            wide: 0,
        },
        Expression::Class(set) => {
            let count = set.ranges().iter().map(|(low, high)| high - low + 1);
            Weight {
                size: set.ranges().len() as u64,
                wide: u64::from(count.sum::<u32>() > NARROW_MAX),
            }
        }
        Expression::Rule(_) if !is_counted => Weight { size: 1, wide: 0 },
        Expression::Rule(_) if depth >= NESTED_MAX => {
            return Err(Refusal::too_large("grammar_nested_max", NESTED_MAX)
                .hint("a counted rule refers to itself, or to a long chain of rules"));
        }
        Expression::Rule(place) => {
            let body = weight(grammar, &grammar.bodies[*place], true, depth + 1)?;
            body.plus(Weight { size: 1, wide: 0 })
        }
        Expression::Sequence(all) | Expression::Choice(all) => sum(all)?,
        Expression::Repeat(inner, 0 | 1, None) => weight(grammar, inner, is_counted, depth)?,
        Expression::Repeat(inner, min, max) => {
            let count = u64::from(max.unwrap_or(min.saturating_add(1)));
            let once = weight(grammar, inner, is_counted || count > 1, depth)?;
            once.times(count)
        }
    })
}

/// Whether the root has a text.
fn derives(grammar: &Grammar) -> bool {
    let mut ends = vec![false; grammar.bodies.len()];
    loop {
        let mut changed = false;
        for (place, body) in grammar.bodies.iter().enumerate() {
            if !ends[place] && comes_to_end(body, &ends) {
                ends[place] = true;
                changed = true;
            }
        }
        if ends[grammar.root] || !changed {
            return ends[grammar.root];
        }
    }
}

fn comes_to_end(of: &Expression, ends: &[bool]) -> bool {
    match of {
        Expression::Literal(_) => true,
        Expression::Class(set) => !set.is_empty(),
        Expression::Rule(place) => ends[*place],
        Expression::Sequence(all) => all.iter().all(|each| comes_to_end(each, ends)),
        Expression::Choice(all) => all.iter().any(|each| comes_to_end(each, ends)),
        Expression::Repeat(inner, min, _) => *min == 0 || comes_to_end(inner, ends),
    }
}

/// Refuses what may turn without taking a character: an engine's parser would go on for ever, or
/// find a text in countless ways.
fn refuse_empty_turns(grammar: &Grammar) -> Result<()> {
    let mut empty = vec![false; grammar.bodies.len()];
    loop {
        let before = empty.clone();
        for (place, body) in grammar.bodies.iter().enumerate() {
            empty[place] = empty[place] || may_be_empty(body, &empty);
        }
        if before == empty {
            break;
        }
    }
    // Rules that have no turn, one after the other; those that are left stand for each other.
    let mut alone: Vec<Vec<usize>> = Vec::with_capacity(empty.len());
    for body in &grammar.bodies {
        let mut found = Vec::new();
        alone_in(body, &empty, &mut found)?;
        alone.push(found);
    }
    let mut ends = vec![false; empty.len()];
    loop {
        let mut changed = false;
        for (place, found) in alone.iter().enumerate() {
            if !ends[place] && found.iter().all(|&other| ends[other]) {
                ends[place] = true;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    if ends.contains(&false) {
        return Err(Refusal::invalid("", "a rule can stand for itself alone"));
    }
    Ok(())
}

fn may_be_empty(of: &Expression, empty: &[bool]) -> bool {
    match of {
        Expression::Literal(text) => text.is_empty(),
        Expression::Class(_) => false,
        Expression::Rule(place) => empty[*place],
        Expression::Sequence(all) => all.iter().all(|each| may_be_empty(each, empty)),
        Expression::Choice(all) => all.iter().any(|each| may_be_empty(each, empty)),
        Expression::Repeat(inner, min, _) => *min == 0 || may_be_empty(inner, empty),
    }
}

/// The rules that an expression can stand for with nothing beside them.
fn alone_in(of: &Expression, empty: &[bool], found: &mut Vec<usize>) -> Result<()> {
    match of {
        Expression::Literal(_) | Expression::Class(_) => {}
        Expression::Rule(place) => found.push(*place),
        Expression::Choice(all) => {
            for each in all {
                alone_in(each, empty, found)?;
            }
        }
        Expression::Sequence(all) => {
            let full = all.iter().filter(|each| !may_be_empty(each, empty)).count();
            for each in all {
                let mut inner = Vec::new();
                alone_in(each, empty, &mut inner)?;
                if full == usize::from(!may_be_empty(each, empty)) {
                    found.append(&mut inner);
                }
            }
        }
        Expression::Repeat(inner, _, max) => {
            if max.is_none_or(|max| max > 1) && may_be_empty(inner, empty) {
                let what = "a repetition of what may be empty";
                return Err(Refusal::invalid("", what).hint("let each turn take a character"));
            }
            alone_in(inner, empty, found)?;
        }
    }
    Ok(())
}

struct Writer<'g> {
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
            Expression::Literal(text) => format!("\"{}\"", literal(text)),
            Expression::Class(set) => class(set),
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

#[cfg(test)]
mod tests {
    use super::written_anew;

    #[test]
    fn a_grammar_is_written_a_rule_a_line() {
        let text =
            "# a list\nroot ::= \"[\" (item (\",\" item)*)? \"]\"\nitem ::= [a-z]{2,3}\n  | \"é\"";
        let written = written_anew(text).unwrap();
        let wanted = [
            "m0 ::= \"\" | \",\" r1 m0",
            "root ::= \"[\" (r1 m0)? \"]\"",
            "r1 ::= [a-z]{2,3} | \"\\u00e9\"",
        ];
        assert_eq!(written.lines().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_repeated_rule_ends_in_itself() {
        let text = r#"root ::= "\"" char+ "\""
char ::= [^"\\] | "\\" ["\\]"#;
        let written = written_anew(text).unwrap();
        assert!(
            written.contains("root ::= \"\\\"\" r1 m0 \"\\\"\"\n"),
            "{written}"
        );
        assert!(written.starts_with("m0 ::= \"\" | ["), "{written}");
    }

    #[test]
    fn what_an_engine_would_choke_on_is_refused() {
        for (text, words) in [
            ("start: \"a\"", "no `::=`"),
            ("root ::= [^a]{0,1000}", "wide_classes_max"),
            ("root ::= c{0,100}\nc ::= [^a] | \"b\"", "wide_classes_max"),
            ("root ::= ((\"a\"{0,300}){0,300}){0,300}", "characters_max"),
            (
                "root ::= a{9}\na ::= b{9}\nb ::= c{9}\nc ::= \"x\"{9} d{9}\nd ::= \"y\"{9}",
                "characters_max",
            ),
            ("root ::= a{2}\na ::= \"x\" a | \"\"", "nested_max"),
            ("root ::= root \"a\"", "never comes to an end"),
            ("root ::= (root root)*", "what may be empty"),
            (
                "root ::= a | \"x\"\na ::= b b\nb ::= root?",
                "can stand for itself",
            ),
            ("root ::= \"a\"\nroot ::= \"b\"", "defined twice"),
        ] {
            let refusal = written_anew(text).unwrap_err();
            assert!(refusal.reason.contains(words), "{text}: {}", refusal.reason);
        }
        assert!(written_anew(&"root ::= \"a\" ".repeat(9_000)).is_err());
        // each rule repeats the next one twice: spread out, that would double each time
        let mut chain = "root ::= r0\n".to_owned();
        for at in 0..900 {
            let next = at + 1;
            chain.extend([
                format!("r{at} ::= (r{next} | \"a\")*"),
                format!(" r{next}* \"b\"\n"),
            ]);
        }
        chain += "r900 ::= \"c\"";
        let written = written_anew(&chain).unwrap();
        assert!(written.len() < 1 << 20);
    }
}
