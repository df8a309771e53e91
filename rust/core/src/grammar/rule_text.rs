//! Rules as text of xgrammar's dialect of EBNF. Which rules there are is decided in `rules`.

use super::charset::{CharSet, char_of};
use super::reduction::Reduced;
use super::rules::{Kind, RuleId, Token, Written};

/// What a rule takes, roughly.
const RULE_BYTES: usize = 48;
/// Says what comes after a string: a mark, and what may follow that. A hint, which spares engines
/// most of the tokens that begin with the end of a string: they need not be tried each time.
pub(super) const CLOSED: &str = ") (= [:,}\\]] [ \\u0022\\-0-9\\[{tfn,}\\]])";
/// Says that what no text of JSON may hold comes next, so that an engine offers no token that goes
/// on beyond the rule. Engines read texts without regard to hints.
pub(super) const ALONE: &str = ") (= [\\u0001])";

/// Writes the rules of one grammar.
pub(super) struct Writer<'r> {
    out: String,
    reduced: &'r Reduced,
    /// The names of the rules by their numbers.
    names: Written,
    /// What is left of the rules that are written within another one.
    open: Vec<std::slice::Iter<'r, Token>>,
}

impl<'r> Writer<'r> {
    pub fn new(reduced: &'r Reduced) -> Self {
        Self {
            out: String::with_capacity(reduced.rules.len() * RULE_BYTES),
            reduced,
            names: names(reduced.written_rules().count()),
            open: Vec::new(),
        }
    }

    pub fn text(&self) -> &str {
        &self.out
    }

    pub fn into_text(self) -> String {
        self.out
    }

    fn name(&mut self, rule: RuleId) {
        let number = self.reduced.numbers[rule as usize];
        self.out.push_str(self.names.get(number));
    }

    pub fn rule(&mut self, rule: RuleId) {
        self.name(rule);
        self.out.push_str(" ::= ");
        let body = self.reduced.rules.bodies[rule as usize];
        let tokens = self.reduced.rules.tokens_of(body);
        match body.kind {
            Kind::Verbatim(text) => self.out.push_str(text),
            Kind::Plain => self.choices(tokens),
            Kind::Closing | Kind::Alone => {
                self.out.push('(');
                self.choices(tokens);
                let is_alone = body.kind == Kind::Alone;
                self.out.push_str(if is_alone { ALONE } else { CLOSED });
            }
        }
        self.out.push('\n');
    }

    fn choices(&mut self, tokens: &'r [Token]) {
        let alternatives = tokens.split_inclusive(|token| *token == Token::End);
        for (place, pieces) in alternatives.enumerate() {
            if place > 0 {
                self.out.push_str(" | ");
            }
            self.sequence(pieces);
        }
    }

    fn sequence(&mut self, pieces: &'r [Token]) {
        if pieces == [Token::End] {
            self.out.push_str("\"\"");
            return;
        }
        let mut is_first = true;
        let mut in_literal = false;
        self.open.push(pieces.iter());
        while let Some(last) = self.open.last_mut() {
            let Some(token) = last.next() else {
                self.open.pop();
                continue;
            };
            let is_text = matches!(token, Token::Text(_));
            if let Token::Rule(target) = token
                && let Some(inner) = self.reduced.inlined(*target)
            {
                self.open.push(inner.iter());
                continue;
            }
            if *token == Token::End {
                continue;
            }
            if in_literal && !is_text {
                self.out.push('"');
                in_literal = false;
            }
            if !in_literal && !is_first {
                self.out.push(' ');
            }
            is_first = false;
            match token {
                Token::Text(text) => {
                    if !in_literal {
                        self.out.push('"');
                        in_literal = true;
                    }
                    self.out.push_str(self.reduced.rules.texts.get(*text));
                }
                Token::Class(set) => self.out.push_str(self.reduced.rules.classes.get(*set)),
                Token::Rule(target) => self.name(*target),
                Token::End => {}
            }
        }
        if in_literal {
            self.out.push('"');
        }
        if is_first {
            self.out.push_str("\"\"");
        }
    }
}

/// The names of so many rules.
fn names(count: usize) -> Written {
    let mut all = Written::default();
    for number in (0..).take(count) {
        all.push(|out| {
            if number == 0 {
                out.push_str("root");
            } else {
                out.push('r');
                push_number(out, number);
            }
        });
    }
    all
}

fn push_number(out: &mut String, number: u32) {
    if number > 9 {
        push_number(out, number / 10);
    }
    out.extend(char::from_digit(number % 10, 10));
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
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(character),
            _ => escaped(out, character),
        }
    }
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
    let digit = |place: u32| char::from_digit(scalar >> (4 * place) & 0xf, 16);
    out.extend((0..digits).rev().filter_map(digit));
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
