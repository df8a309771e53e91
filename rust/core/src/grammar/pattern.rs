//! ECMA-262 regular expressions, parsed into a small tree.
//!
//! Patterns are read with Unicode meaning, as JSON Schema recommends, but leniently where
//! browsers are (`\-`, a lone `]` or `{`). What is not regular is refused by name.

use super::charset::CharSet;

/// Nested groups; deeper patterns are bombs.
const DEPTH_MAX: usize = 60;
/// Copies that one repetition may ask for.
const REPEAT_MAX: u32 = 5_000;

/// Ranges of characters in all sets of a pattern; a set such as `\p{L}` has some six hundred.
const RANGES_MAX: usize = 100_000;

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// One character of a set.
    Class(CharSet),
    /// One after the other; the empty list matches the empty text.
    Concat(Vec<Pattern>),
    /// Any of them.
    Alternatives(Vec<Pattern>),
    /// `min..=max` times.
    Repeat(Box<Pattern>, u32, Option<u32>),
    /// `^`.
    Start,
    /// `$`.
    End,
    /// `\b`, or `\B` where negative.
    WordBoundary(bool),
    /// `(?=…)`, or `(?!…)` where negative.
    Look(Box<Pattern>, bool),
    /// `(?<=…)`, or `(?<!…)` where negative.
    Behind(Box<Pattern>, bool),
}

/// Why a pattern was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternFault {
    /// Not a regular expression of ECMA-262.
    Malformed(&'static str),
    /// A feature that is not regular, or not ours.
    Unsupported(&'static str),
}

pub(super) type Parsed<T> = Result<T, PatternFault>;

/// Parses a whole pattern.
///
/// # Errors
/// [`PatternFault`]: malformed, or with back-references and the like.
pub fn parse(text: &str) -> Parsed<Pattern> {
    parse_with(text, CharSet::dot())
}

/// The same where `.` has another meaning.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(text: &str, dot: CharSet) -> Parsed<Pattern> {
    let mut parser = Parser {
        text: text.chars().collect(),
        at: 0,
        dot,
        ranges_left: RANGES_MAX,
    };
    let pattern = parser.alternatives(0)?;
    match parser.peek() {
        None => Ok(pattern),
        Some(_) => Err(PatternFault::Malformed("an unmatched )")),
    }
}

pub(super) struct Parser {
    pub(super) text: Vec<char>,
    pub(super) at: usize,
    /// What `.` stands for.
    dot: CharSet,
    /// Ranges of characters that its sets may still have.
    ranges_left: usize,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    pub(super) fn eat(&mut self, wanted: &str) -> bool {
        let fits = wanted
            .chars()
            .enumerate()
            .all(|(i, c)| self.text.get(self.at + i) == Some(&c));
        if fits {
            self.at += wanted.chars().count();
        }
        fits
    }

    pub(super) fn next(&mut self) -> Parsed<char> {
        let character = self
            .peek()
            .ok_or(PatternFault::Malformed("it ends too early"))?;
        self.at += 1;
        Ok(character)
    }

    fn alternatives(&mut self, depth: usize) -> Parsed<Pattern> {
        if depth > DEPTH_MAX {
            return Err(PatternFault::Unsupported("groups nested too deeply"));
        }
        let mut all = vec![self.sequence(depth)?];
        while self.eat("|") {
            all.push(self.sequence(depth)?);
        }
        Ok(if all.len() == 1 {
            all.remove(0)
        } else {
            Pattern::Alternatives(all)
        })
    }

    fn sequence(&mut self, depth: usize) -> Parsed<Pattern> {
        let mut parts = Vec::new();
        while let Some(character) = self.peek() {
            if character == '|' || character == ')' {
                break;
            }
            let atom = self.atom(depth)?;
            parts.push(self.quantified(atom)?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Pattern::Concat(parts)
        })
    }

    fn quantified(&mut self, atom: Pattern) -> Parsed<Pattern> {
        let (min, max) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => match self.bounds()? {
                Some(bounds) => bounds,
                None => return Ok(atom),
            },
            _ => return Ok(atom),
        };
        self.at += 1;
        if self.eat("+") {
            return Err(PatternFault::Malformed(
                "a possessive or doubled quantifier",
            ));
        }
        self.eat("?");
        if matches!(self.peek(), Some('*')) {
            return Err(PatternFault::Malformed("nothing to repeat"));
        }
        if matches!(
            atom,
            Pattern::Start | Pattern::End | Pattern::WordBoundary(_)
        ) {
            return Err(PatternFault::Malformed("a repeated assertion"));
        }
        Ok(Pattern::Repeat(Box::new(atom), min, max))
    }

    /// The numbers of `{m}`, `{m,}` or `{m,n}`, with `at` left on the `}`; none where the `{` is
    /// a plain character.
    fn bounds(&mut self) -> Parsed<Option<(u32, Option<u32>)>> {
        let rest = &self.text[self.at + 1..];
        let is_number = |c: &char| c.is_ascii_digit() || *c == ',';
        let end = rest.iter().take_while(|c| is_number(c)).count();
        if rest.get(end) != Some(&'}') {
            return Ok(None);
        }
        let body: String = rest[..end].iter().collect();
        let (low, high) = match body.split_once(',') {
            Some((low, high)) => (low, Some(high)),
            None => (body.as_str(), None),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if low.is_empty() || !digits(low) || !high.is_none_or(digits) {
            return Ok(None);
        }
        let number = |part: &str| {
            part.parse::<u32>()
                .ok()
                .filter(|&value| value <= REPEAT_MAX)
        };
        let too_many = PatternFault::Unsupported("a repetition of more than 5,000");
        let min = number(low).ok_or_else(|| too_many.clone())?;
        let max = match high {
            None => Some(min),
            Some("") => None,
            Some(high) => Some(number(high).ok_or(too_many)?),
        };
        if max.is_some_and(|max| max < min) {
            return Err(PatternFault::Malformed(
                "a repetition whose end is before its start",
            ));
        }
        self.at += 1 + end;
        Ok(Some((min, max)))
    }

    fn atom(&mut self, depth: usize) -> Parsed<Pattern> {
        Ok(match self.next()? {
            '^' => Pattern::Start,
            '$' => Pattern::End,
            '.' => self.set(self.dot.clone())?,
            '(' => return self.group(depth),
            '[' => {
                let set = self.class()?;
                self.set(set)?
            }
            '\\' => return self.escaped(),
            '*' | '+' | '?' => return Err(PatternFault::Malformed("nothing to repeat")),
            character => Pattern::Class(CharSet::one(character)),
        })
    }

    fn set(&mut self, set: CharSet) -> Parsed<Pattern> {
        let left = self.ranges_left.checked_sub(set.ranges().len());
        let too_many = "more than 100,000 ranges of characters, all sets together";
        self.ranges_left = left.ok_or(PatternFault::Unsupported(too_many))?;
        Ok(Pattern::Class(set))
    }

    fn group(&mut self, depth: usize) -> Parsed<Pattern> {
        let wrap: fn(Pattern) -> Pattern = if self.eat("?:") {
            |inner| inner
        } else if self.eat("?=") {
            |inner| Pattern::Look(Box::new(inner), false)
        } else if self.eat("?!") {
            |inner| Pattern::Look(Box::new(inner), true)
        } else if self.eat("?<=") {
            |inner| Pattern::Behind(Box::new(inner), false)
        } else if self.eat("?<!") {
            |inner| Pattern::Behind(Box::new(inner), true)
        } else if self.eat("?<") {
            while self.next()? != '>' {}
            |inner| inner
        } else if self.eat("?") {
            return Err(PatternFault::Malformed(
                "an unknown kind of group, such as (?i)",
            ));
        } else {
            |inner| inner
        };
        let inner = self.alternatives(depth + 1)?;
        if !self.eat(")") {
            return Err(PatternFault::Malformed("an unclosed group"));
        }
        Ok(wrap(inner))
    }

    fn escaped(&mut self) -> Parsed<Pattern> {
        match self.peek() {
            Some('b') => {
                self.at += 1;
                Ok(Pattern::WordBoundary(false))
            }
            Some('B') => {
                self.at += 1;
                Ok(Pattern::WordBoundary(true))
            }
            Some('1'..='9' | 'k') => Err(PatternFault::Unsupported("a back-reference")),
            Some('A' | 'Z' | 'z' | 'G') => Err(PatternFault::Malformed(
                "an anchor of another dialect, such as \\A or \\Z",
            )),
            _ => {
                let set = self.escaped_set()?;
                self.set(set)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, PatternFault, parse};

    #[test]
    fn sets_of_very_many_ranges_are_refused() {
        let one = |times: usize| "\\p{L}".repeat(times);
        assert!(parse(&one(100)).is_ok() && parse(&one(1_000)).is_err());
        // In one set they are the same ranges again.
        let same = parse(&format!("[{}]", one(1_000)));
        assert_eq!(same, parse(&one(1)));
    }

    #[test]
    fn bounds_may_be_plain_text() {
        assert!(matches!(parse("a{x}"), Ok(Pattern::Concat(parts)) if parts.len() == 4));
        assert!(matches!(
            parse("a{2,3}"),
            Ok(Pattern::Repeat(_, 2, Some(3)))
        ));
    }

    #[test]
    fn what_is_not_regular_is_named() {
        assert_eq!(
            parse("(a)\\1"),
            Err(PatternFault::Unsupported("a back-reference"))
        );
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for text in [
            "(",
            ")",
            "[",
            "*a",
            "a**",
            "[z-a]",
            "\\",
            "(?i)a",
            "a{3,2}",
            "\\p{Nope}",
        ] {
            assert!(
                matches!(parse(text), Err(PatternFault::Malformed(_))),
                "{text}"
            );
        }
    }
}
