//! Rules as text of xgrammar's dialect of EBNF. Which rules there are is decided in `rules`.

use std::fmt::Write;

use super::charset::{CharSet, char_of};
use super::rules::{Body, Piece, RuleId};

/// What a rule takes, roughly.
const RULE_BYTES: usize = 32;
/// Says what comes after a string. A hint, which spares engines most of the tokens that begin with
/// the end of a string: they need not be tried each time.
pub(super) const CLOSED: &str = ") (= [:,}\\]])";

/// Writes the rules of one grammar.
pub(super) struct Writer {
    out: String,
    /// Numbers by rule; 0 is the root.
    names: Vec<u32>,
    /// The rule that stands for each: equal ones are written once.
    same: Vec<RuleId>,
}

impl Writer {
    pub fn new(rules: usize, names: Vec<u32>, same: Vec<RuleId>) -> Self {
        Self {
            out: String::with_capacity(rules * RULE_BYTES),
            names,
            same,
        }
    }

    pub fn text(&self) -> &str {
        &self.out
    }

    pub fn into_text(self) -> String {
        self.out
    }

    fn name(&mut self, rule: RuleId) {
        let number = self.names[self.same[rule as usize] as usize];
        if number == 0 {
            self.out.push_str("root");
        } else {
            // A String takes all that is written to it.
            let _ = write!(self.out, "r{number}");
        }
    }

    pub fn rule(&mut self, rule: RuleId, body: &Body) {
        self.name(rule);
        self.out.push_str(" ::= ");
        match body {
            Body::Verbatim(text) => self.out.push_str(text),
            Body::Alternatives(all) => self.choices(all),
            Body::Closing(all) => {
                self.out.push('(');
                self.choices(all);
                self.out.push_str(CLOSED);
            }
        }
        self.out.push('\n');
    }

    fn choices(&mut self, all: &[Vec<Piece>]) {
        for (place, pieces) in all.iter().enumerate() {
            if place > 0 {
                self.out.push_str(" | ");
            }
            self.sequence(pieces);
        }
    }

    fn sequence(&mut self, pieces: &[Piece]) {
        if pieces.is_empty() {
            self.out.push_str("\"\"");
            return;
        }
        let mut at = 0;
        while at < pieces.len() {
            if at > 0 {
                self.out.push(' ');
            }
            match &pieces[at] {
                Piece::Text(first) => {
                    self.out.push('"');
                    literal(&mut self.out, first);
                    while let Some(Piece::Text(next)) = pieces.get(at + 1) {
                        literal(&mut self.out, next);
                        at += 1;
                    }
                    self.out.push('"');
                }
                Piece::Class(set) => class(&mut self.out, set),
                Piece::Rule(target) => self.name(*target),
                Piece::Blank => self.out.push_str("\" \"?"),
            }
            at += 1;
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

fn literal(out: &mut String, text: &str) {
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
    // And a String takes all that is written to it.
    let _ = match scalar {
        0..=0xffff => write!(out, "\\u{scalar:04x}"),
        _ => write!(out, "\\U{scalar:08x}"),
    };
}

fn class(out: &mut String, set: &CharSet) {
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
