//! Rules as text of xgrammar's dialect of EBNF. Which rules there are is decided in `rules`.

use super::charset::{CharSet, char_of};
use super::reduction::Reduced;
use super::rules::{Kind, RuleId, Token};

/// What a rule takes, roughly.
const RULE_BYTES: usize = 48;
/// Says what comes after a string: a mark, and what may follow that. A hint, which spares engines
/// most of the tokens that begin with the end of a string: they need not be tried each time.
pub(super) const CLOSED: &str = ") (= [:,}\\]] [ \\u0022\\-0-9\\[{tfn,}\\]])";
/// Says that what no text of JSON may hold comes next, so that an engine offers no token that goes
/// on beyond the rule. Engines read texts without regard to hints.
pub(super) const ALONE: &str = ") (= [\\u0001])";

/// Where the writing of an alternative stands.
#[derive(Clone, Copy)]
enum Spot {
    /// Nothing is written yet.
    Start,
    /// Behind characters of a literal that may get more.
    InLiteral,
    /// Behind a finished element.
    Behind,
}

/// The name of a rule.
struct Name {
    letters: [u8; 11],
    length: usize,
}

impl Name {
    fn of(number: u32) -> Self {
        if number == 0 {
            return Self {
                letters: *b"root       ",
                length: 4,
            };
        }
        let mut letters = *b"r0000000000";
        let mut left = number;
        let length = 2 + number.ilog10() as usize;
        for at in (1..length).rev() {
            letters[at] = b"0123456789"[(left % 10) as usize];
            left /= 10;
        }
        Self { letters, length }
    }
}

/// Writes the rules of one grammar.
pub(super) struct Writer<'r> {
    out: Vec<u8>,
    reduced: &'r Reduced,
    /// The names of the rules by their numbers.
    names: Vec<Name>,
    /// What is left of the rules that are written within another one.
    open: Vec<std::slice::Iter<'r, Token>>,
}

impl<'r> Writer<'r> {
    pub fn new(reduced: &'r Reduced) -> Self {
        Self {
            out: Vec::with_capacity(reduced.rules.len() * RULE_BYTES),
            reduced,
            names: (0..)
                .map(Name::of)
                .take(reduced.written_rules().count())
                .collect(),
            open: Vec::new(),
        }
    }

    /// How many bytes are written.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    pub fn into_text(self) -> String {
        // Only whole texts and letters of ASCII were written.
        String::from_utf8(self.out).unwrap_or_default()
    }

    fn name(&mut self, rule: RuleId) {
        let name = &self.names[self.reduced.numbers[rule as usize] as usize];
        // So many letters each time are written in one go.
        self.out.extend_from_slice(&name.letters);
        let unused = name.letters.len() - name.length;
        self.out.truncate(self.out.len() - unused);
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    pub fn rule(&mut self, rule: RuleId) {
        self.name(rule);
        self.push(" ::= ");
        let body = self.reduced.rules.bodies[rule as usize];
        let tokens = self.reduced.rules.tokens_of(body);
        match body.kind {
            Kind::Verbatim(text) => self.push(text),
            Kind::Plain => self.choices(tokens),
            Kind::Closing | Kind::Alone => {
                self.out.push(b'(');
                self.choices(tokens);
                let is_alone = body.kind == Kind::Alone;
                self.push(if is_alone { ALONE } else { CLOSED });
            }
        }
        self.out.push(b'\n');
    }

    /// Writes alternatives; what is written within another rule stands in its place.
    fn choices(&mut self, tokens: &'r [Token]) {
        let mut spot = Spot::Start;
        let mut left = tokens.iter();
        loop {
            let Some(token) = left.next() else {
                match self.open.pop() {
                    Some(outer) => left = outer,
                    None => return,
                }
                continue;
            };
            match *token {
                Token::Text(text) => {
                    match spot {
                        Spot::Start => self.out.push(b'"'),
                        Spot::Behind => self.push(" \""),
                        Spot::InLiteral => {}
                    }
                    self.push(self.reduced.rules.texts.get(text));
                    spot = Spot::InLiteral;
                }
                Token::Class(set) => {
                    self.apart(spot);
                    self.push(self.reduced.rules.classes.get(set));
                    spot = Spot::Behind;
                }
                Token::Rule(target) => {
                    if let Some(inner) = self.reduced.inlined(target) {
                        self.open.push(std::mem::replace(&mut left, inner.iter()));
                        continue;
                    }
                    self.apart(spot);
                    self.name(target);
                    spot = Spot::Behind;
                }
                Token::End if !self.open.is_empty() => {}
                Token::End => {
                    self.finish(spot);
                    if !left.as_slice().is_empty() {
                        self.push(" | ");
                    }
                    spot = Spot::Start;
                }
            }
        }
    }

    /// What stands at the end of an alternative.
    fn finish(&mut self, spot: Spot) {
        match spot {
            Spot::Start => self.push("\"\""),
            Spot::InLiteral => self.out.push(b'"'),
            Spot::Behind => {}
        }
    }

    /// What stands before an element that is no literal.
    fn apart(&mut self, spot: Spot) {
        match spot {
            Spot::Start => {}
            Spot::InLiteral => self.push("\" "),
            Spot::Behind => self.out.push(b' '),
        }
    }
}

/// The grammar of one of these texts.
pub fn choice(texts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut out = String::from("root ::= ");
    for (place, text) in texts.into_iter().enumerate() {
        out.push_str(if place == 0 { "\"" } else { " | \"" });
        literal(&mut out, text.as_ref());
        out.push('"');
    }
    out.push('\n');
    out
}

/// Writes characters as they stand between quotation marks.
pub(super) fn literal(out: &mut String, text: &str) {
    let is_plain = |one: char| matches!(one, ' '..='~') && one != '"' && one != '\\';
    let mut rest = text;
    while let Some(at) = rest.find(|one| !is_plain(one)) {
        let (plain, others) = rest.split_at(at);
        out.push_str(plain);
        let mut others = others.chars();
        match others.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some(other) => escaped(out, other),
            None => {}
        }
        rest = others.as_str();
    }
    out.push_str(rest);
}

fn escaped(out: &mut String, character: char) {
    let scalar = u32::from(character);
    // Not `\\x`, which takes as many hexadecimal digits as follow.
    let (mark, digits) = if scalar <= 0xffff {
        ("\\u", 4)
    } else {
        ("\\U", 8)
    };
    out.push_str(mark);
    for place in (0..digits).rev() {
        let digit = scalar >> (4 * place) & 0xf;
        out.push(char::from(b"0123456789abcdef"[digit as usize]));
    }
}

/// Writes a set of characters in its brackets.
pub(super) fn class(out: &mut String, set: &CharSet) {
    out.push('[');
    for &(low, high) in set.ranges() {
        // The codes skip the surrogates; ranges across the gap are written as two.
        if low < 0xd800 && high >= 0xd800 {
            range(out, low, 0xd7ff);
            range(out, 0xd800, high);
        } else {
            range(out, low, high);
        }
    }
    out.push(']');
}

fn range(out: &mut String, low: u32, high: u32) {
    class_member(out, char_of(low));
    if high > low {
        out.push('-');
        class_member(out, char_of(high));
    }
}

fn class_member(out: &mut String, character: char) {
    if character.is_ascii_alphanumeric() {
        out.push(character);
    } else {
        escaped(out, character);
    }
}
