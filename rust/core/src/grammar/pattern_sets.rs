//! Sets of characters in ECMA-262 patterns: classes in brackets, escapes, Unicode properties.

use super::charset::CharSet;
use super::pattern::{Parsed, Parser, PatternFault};

impl Parser {
    /// What follows a backslash, inside or outside a class.
    pub(super) fn escaped_set(&mut self) -> Parsed<CharSet> {
        Ok(match self.next()? {
            'd' => CharSet::digits(),
            'D' => CharSet::digits().complement(),
            'w' => CharSet::word(),
            'W' => CharSet::word().complement(),
            's' => CharSet::space(),
            'S' => CharSet::space().complement(),
            't' => CharSet::one('\t'),
            'n' => CharSet::one('\n'),
            'r' => CharSet::one('\r'),
            'v' => CharSet::one('\u{b}'),
            'f' => CharSet::one('\u{c}'),
            '0' => CharSet::one('\0'),
            'c' => self.control()?,
            'x' => self.hexadecimal(2)?,
            'u' => self.unicode()?,
            negation @ ('p' | 'P') => self.property(negation)?,
            character if character.is_ascii_alphanumeric() => {
                return Err(PatternFault::Malformed("an unknown escape"));
            }
            character => CharSet::one(character),
        })
    }

    fn control(&mut self) -> Parsed<CharSet> {
        let letter = self.next()?;
        if !letter.is_ascii_alphabetic() {
            return Err(PatternFault::Malformed("a malformed \\c"));
        }
        Ok(CharSet::one(char::from(letter as u8 % 32)))
    }

    fn hex_digits(&mut self, count: usize) -> Option<u32> {
        let digits: String = self.text.get(self.at..self.at + count)?.iter().collect();
        let value = u32::from_str_radix(&digits, 16)
            .ok()
            .filter(|_| !digits.starts_with('+'))?;
        self.at += count;
        Some(value)
    }

    fn hexadecimal(&mut self, count: usize) -> Parsed<CharSet> {
        let fault = PatternFault::Malformed("a malformed \\x or \\u");
        let scalar = self.hex_digits(count).ok_or_else(|| fault.clone())?;
        Ok(CharSet::from_scalars([(scalar, scalar)]))
    }

    fn unicode(&mut self) -> Parsed<CharSet> {
        if self.eat("{") {
            let rest = &self.text[self.at..];
            let count = rest.iter().position(|&c| c == '}').unwrap_or(0);
            let fault = PatternFault::Malformed("a malformed \\u{…}");
            let scalar = self
                .hex_digits(count)
                .filter(|&s| s <= 0x10_ffff)
                .ok_or(fault)?;
            self.at += 1;
            return Ok(CharSet::from_scalars([(scalar, scalar)]));
        }
        let start = self.at;
        let fault = PatternFault::Malformed("a malformed \\u");
        let high = self.hex_digits(4).ok_or(fault)?;
        if (0xd800..0xdc00).contains(&high) && self.eat("\\u") {
            if let Some(low) = self
                .hex_digits(4)
                .filter(|low| (0xdc00..0xe000).contains(low))
            {
                let scalar = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(CharSet::from_scalars([(scalar, scalar)]));
            }
            self.at = start + 4;
        }
        Ok(CharSet::from_scalars([(high, high)]))
    }

    fn property(&mut self, negation: char) -> Parsed<CharSet> {
        if !self.eat("{") {
            return Err(PatternFault::Malformed("a malformed \\p"));
        }
        let mut name = String::new();
        loop {
            match self.next()? {
                '}' => break,
                character => name.push(character),
            }
        }
        let set = unicode_property(&name)
            .ok_or(PatternFault::Malformed("an unknown Unicode property"))?;
        Ok(if negation == 'P' {
            set.complement()
        } else {
            set
        })
    }

    pub(super) fn class(&mut self) -> Parsed<CharSet> {
        let negated = self.eat("^");
        let mut ranges = Ranges::default();
        loop {
            if self.eat("]") {
                break;
            }
            let low = self.class_member()?;
            let is_range =
                self.peek() == Some('-') && self.text.get(self.at + 1).is_some_and(|&c| c != ']');
            if !is_range {
                ranges.add(&low);
                continue;
            }
            self.at += 1;
            let high = self.class_member()?;
            match (low.ranges(), high.ranges()) {
                ([(a, b)], [(c, d)]) if a == b && c == d => {
                    if a > c {
                        return Err(PatternFault::Malformed("a range out of order"));
                    }
                    ranges.add(&CharSet::from_codes(vec![(*a, *c)]));
                }
                // Browsers read `[\w-x]` as the three: the class, the dash, the letter.
                _ => [low, high, CharSet::one('-')]
                    .iter()
                    .for_each(|set| ranges.add(set)),
            }
        }
        let set = CharSet::from_codes(ranges.all);
        Ok(if negated { set.complement() } else { set })
    }

    fn class_member(&mut self) -> Parsed<CharSet> {
        match self.next()? {
            '\\' if self.eat("b") => Ok(CharSet::one('\u{8}')),
            '\\' if self.eat("-") => Ok(CharSet::one('-')),
            '\\' => self.escaped_set(),
            character => Ok(CharSet::one(character)),
        }
    }
}

/// The ranges of many sets, put in order only now and then.
#[derive(Default)]
struct Ranges {
    all: Vec<(u32, u32)>,
    /// How many there were when they were put in order.
    ordered: usize,
}

impl Ranges {
    fn add(&mut self, set: &CharSet) {
        self.all.extend_from_slice(set.ranges());
        if self.all.len() > 4 * self.ordered.max(1_000) {
            let set = CharSet::from_codes(std::mem::take(&mut self.all));
            self.all = set.ranges().to_vec();
            self.ordered = self.all.len();
        }
    }
}

/// The characters of a Unicode property; tables are those of the regex crates.
fn unicode_property(name: &str) -> Option<CharSet> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '=';
    if name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    let mut parser = regex_syntax::ParserBuilder::new().build();
    let tree = parser.parse(&format!("\\p{{{name}}}")).ok()?;
    match tree.kind() {
        regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
            let scalars = |range: &regex_syntax::hir::ClassUnicodeRange| {
                (u32::from(range.start()), u32::from(range.end()))
            };
            Some(CharSet::from_scalars(class.ranges().iter().map(scalars)))
        }
        _ => None,
    }
}
