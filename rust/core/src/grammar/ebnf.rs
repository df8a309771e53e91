//! Grammars in EBNF, read: xgrammar's dialect, without what differs between its versions.
//!
//! A rule is `name ::= expression`; literals, classes, groups, bars and counters are what JSON
//! Schemas compile to and what people write. A hint on what follows (`(= …)`) is read and dropped.

use super::charset::{CharSet, code_of};
use super::hash::Map;
use super::refusal::{Refusal, Result};

/// Groups inside groups; the reader recurs.
const DEPTH_MAX: usize = 64;
/// A counter beyond this is a mistake.
const COUNT_MAX: u32 = 1_000_000;

/// What a rule derives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// These characters.
    Literal(String),
    /// One character of a set.
    Class(CharSet),
    /// What a rule derives.
    Rule(usize),
    /// One after the other.
    Sequence(Vec<Expression>),
    /// One of them.
    Choice(Vec<Expression>),
    /// So many times, at most and at least.
    Repeat(Box<Expression>, u32, Option<u32>),
}

/// A grammar whose rules all exist; the root is one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grammar {
    /// The bodies of the rules.
    pub bodies: Vec<Expression>,
    /// The place of the rule `root`.
    pub root: usize,
}

impl Grammar {
    /// Reads a text of at most `rules_max` rules.
    ///
    /// # Errors
    /// Invalid with the line, or too large.
    pub fn parse(text: &str, rules_max: usize) -> Result<Self> {
        let mut reader = Reader {
            text,
            at: 0,
            rules_max,
            places: Map::default(),
            bodies: Vec::new(),
        };
        reader.skip();
        while reader.at < text.len() {
            reader.rule()?;
        }
        let missing = reader
            .places
            .iter()
            .filter(|(_, place)| reader.bodies[**place].is_none())
            .map(|(name, _)| *name)
            .min();
        if let Some(name) = missing {
            let what = format!("the rule `{name}` is used and not defined");
            return Err(Refusal::invalid("", what));
        }
        let Some(&root) = reader.places.get("root") else {
            return Err(Refusal::invalid("", "there is no rule `root`"));
        };
        let bodies = reader.bodies.into_iter().flatten().collect();
        Ok(Self { bodies, root })
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    rules_max: usize,
    places: Map<&'t str, usize>,
    bodies: Vec<Option<Expression>>,
}

impl<'t> Reader<'t> {
    fn fault(&self, what: &str) -> Refusal {
        let line = 1 + self.text[..self.at].matches('\n').count();
        Refusal::invalid("", format!("line {line}: {what}"))
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn takes(&mut self, mark: &str) -> bool {
        let is_there = self.text[self.at..].starts_with(mark);
        if is_there {
            self.at += mark.len();
            self.skip();
        }
        is_there
    }

    /// Passes blanks and comments.
    fn skip(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// The name that stands here, which is not passed.
    fn name_here(&self) -> Option<&'t str> {
        let rest = &self.text[self.at..];
        let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let is_later = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        rest.starts_with(is_first)
            .then(|| &rest[..rest.find(|c| !is_later(c)).unwrap_or(rest.len())])
    }

    fn begins_rule(&self, name: &str) -> bool {
        self.text[self.at + name.len()..]
            .trim_start()
            .starts_with("::=")
    }

    fn place(&mut self, name: &'t str) -> Result<usize> {
        let fresh = self.bodies.len();
        let place = *self.places.entry(name).or_insert(fresh);
        if place == fresh {
            if fresh >= self.rules_max {
                return Err(Refusal::too_large("rules_max", self.rules_max));
            }
            self.bodies.push(None);
        }
        Ok(place)
    }

    fn rule(&mut self) -> Result<()> {
        let name = self
            .name_here()
            .ok_or_else(|| self.fault("no name of a rule"))?;
        let place = self.place(name)?;
        if self.bodies[place].is_some() {
            return Err(self.fault(&format!("the rule `{name}` is defined twice")));
        }
        self.at += name.len();
        self.skip();
        if !self.takes("::=") {
            return Err(self.fault("no `::=` after a name"));
        }
        let body = self.choice(0)?;
        self.bodies[place] = Some(body);
        if self.at < self.text.len() && self.name_here().is_none() {
            return Err(self.fault("no rule begins here"));
        }
        Ok(())
    }

    fn choice(&mut self, depth: usize) -> Result<Expression> {
        if depth > DEPTH_MAX {
            return Err(Refusal::too_large("group_depth_max", DEPTH_MAX));
        }
        let mut all = vec![self.sequence(depth)?];
        while self.takes("|") {
            all.push(self.sequence(depth)?);
        }
        Ok(single(all, Expression::Choice))
    }

    fn sequence(&mut self, depth: usize) -> Result<Expression> {
        let mut parts = Vec::new();
        while let Some(next) = self.peek() {
            let part = match next {
                '"' => self.literal()?,
                '[' => self.class()?,
                '(' if self.is_hint() => {
                    self.hint(depth)?;
                    break;
                }
                '(' => {
                    self.takes("(");
                    let inner = self.choice(depth + 1)?;
                    if !self.takes(")") {
                        return Err(self.fault("no `)`"));
                    }
                    inner
                }
                _ => {
                    let Some(name) = self.name_here().filter(|name| !self.begins_rule(name)) else {
                        break;
                    };
                    self.at += name.len();
                    Expression::Rule(self.place(name)?)
                }
            };
            parts.push(self.counted(part)?);
        }
        Ok(single(parts, Expression::Sequence))
    }

    fn is_hint(&self) -> bool {
        self.text[self.at + 1..].trim_start().starts_with('=')
    }

    fn hint(&mut self, depth: usize) -> Result<()> {
        self.takes("(");
        self.takes("=");
        self.choice(depth + 1)?;
        if self.takes(")") {
            Ok(())
        } else {
            Err(self.fault("no `)`"))
        }
    }

    /// A part with the counter that may stand behind it.
    fn counted(&mut self, part: Expression) -> Result<Expression> {
        let (min, max) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                let bounds = self.counter()?;
                self.skip();
                return Ok(Expression::Repeat(Box::new(part), bounds.0, bounds.1));
            }
            _ => {
                self.skip();
                return Ok(part);
            }
        };
        self.bump();
        self.skip();
        Ok(Expression::Repeat(Box::new(part), min, max))
    }

    fn counter(&mut self) -> Result<(u32, Option<u32>)> {
        let rest = &self.text[self.at + 1..];
        let wrong = || self.fault("a counter is `{m}`, `{m,}` or `{m,n}`");
        let inner = &rest[..rest.find('}').ok_or_else(wrong)?];
        let number = |digits: &str| {
            digits
                .trim()
                .parse()
                .ok()
                .filter(|&count| count <= COUNT_MAX)
        };
        let bounds = match inner.split_once(',') {
            None => number(inner).map(|count| (count, Some(count))),
            Some((low, high)) if high.trim().is_empty() => number(low).map(|low| (low, None)),
            Some((low, high)) => number(low)
                .zip(number(high))
                .map(|(low, high)| (low, Some(high))),
        };
        let bounds = bounds.ok_or_else(wrong)?;
        if bounds.1.is_some_and(|max| max < bounds.0) {
            return Err(wrong());
        }
        self.at += inner.len() + 2;
        Ok(bounds)
    }

    fn literal(&mut self) -> Result<Expression> {
        self.bump();
        let mut out = String::new();
        loop {
            match self.bump() {
                Some('"') => return Ok(Expression::Literal(out)),
                Some('\\') => out.push(self.escape()?),
                Some('\n') | None => return Err(self.fault("a literal without its end")),
                Some(other) => out.push(other),
            }
        }
    }

    fn class(&mut self) -> Result<Expression> {
        self.bump();
        let is_outside = self.peek() == Some('^');
        if is_outside {
            self.bump();
        }
        let mut ranges = Vec::new();
        loop {
            let low = match self.bump() {
                Some(']') => break,
                Some('\\') => self.escape()?,
                Some('\n') | None => return Err(self.fault("a class without its end")),
                Some(other) => other,
            };
            let mut high = low;
            let rest = &self.text[self.at..];
            if rest.starts_with('-') && !rest.starts_with("-]") {
                self.bump();
                high = match self.bump() {
                    Some('\\') => self.escape()?,
                    Some(other) => other,
                    None => return Err(self.fault("a class without its end")),
                };
            }
            if code_of(low) > code_of(high) {
                return Err(self.fault("a range that runs backwards"));
            }
            ranges.push((code_of(low), code_of(high)));
        }
        let set = CharSet::from_codes(ranges);
        Ok(Expression::Class(if is_outside {
            set.complement()
        } else {
            set
        }))
    }

    fn escape(&mut self) -> Result<char> {
        let kind = self
            .bump()
            .ok_or_else(|| self.fault("an escape without its end"))?;
        let digits = match kind {
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'b' => return Ok('\u{8}'),
            'f' => return Ok('\u{c}'),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            other if other.is_ascii_punctuation() => return Ok(other),
            _ => return Err(self.fault("an unknown escape")),
        };
        let scalar = self.text[self.at..]
            .get(..digits)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .and_then(char::from_u32)
            .ok_or_else(|| self.fault("an escape that is no character"))?;
        self.at += digits;
        Ok(scalar)
    }
}

fn single(mut parts: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::Grammar;

    #[test]
    fn what_is_no_grammar_is_refused_with_its_line() {
        for (text, words) in [
            ("", "no rule `root`"),
            (
                "root ::= \"a\"\n\nroot ::= \"b\"",
                "line 3: the rule `root` is defined twice",
            ),
            ("root ::= a", "`a` is used and not defined"),
            ("root ::= \"a", "a literal without its end"),
            ("root ::= [a", "a class without its end"),
            ("root ::= [b-a]", "runs backwards"),
            ("root ::= (\"a\"", "no `)`"),
            ("root ::= \"a\"{3,2}", "a counter is"),
            ("root ::= \"\\ud800\"", "no character"),
            ("root = \"a\"", "no `::=`"),
            ("root ::= \"a\" )", "no rule begins here"),
            ("1 ::= \"a\"", "no name"),
        ] {
            let refusal = Grammar::parse(text, 9).unwrap_err();
            assert!(refusal.reason.contains(words), "{text}: {}", refusal.reason);
        }
        let deep = format!("root ::= {}\"a\"{}", "(".repeat(90), ")".repeat(90));
        assert!(
            Grammar::parse(&deep, 9)
                .unwrap_err()
                .reason
                .contains("group_depth_max")
        );
        let many = "root ::= r1 r2\nr1 ::= \"a\"\nr2 ::= \"b\"";
        assert!(
            Grammar::parse(many, 2)
                .unwrap_err()
                .reason
                .contains("rules_max")
        );
    }
}
