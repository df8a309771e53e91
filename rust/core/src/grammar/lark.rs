//! Grammars for llguidance, which the embedded engine decodes by: Lark out of the compiler's EBNF.
//!
//! A translation of the text as [`super::rule_text`] writes it: a rule a line, literals, classes,
//! names. A rule that ends in itself becomes a repetition, for llguidance bounds how deep its
//! parser may recur.

use std::fmt::Write;

use super::escapes::quoted;
use super::rule_text::{ALONE, CLOSED};
use super::text_tokens::{Token, tokens};

/// The grammar as Lark; its start rule is `start`. Cost: O(text).
pub fn lark(ebnf: &str) -> String {
    let mut out = String::with_capacity(ebnf.len() * 2);
    for line in ebnf.lines() {
        if let Some((name, body)) = line.split_once(" ::= ") {
            rule(name, body, &mut out);
        }
    }
    out
}

fn rule(name: &str, body: &str, out: &mut String) {
    let hinted = body.strip_prefix('(').and_then(|body| {
        let closing = body.strip_suffix(CLOSED);
        closing.or_else(|| body.strip_suffix(ALONE))
    });
    let name = translated_name(name);
    let mut alternatives: Vec<Vec<String>> = vec![Vec::new()];
    let mut depth = 0_usize;
    for token in tokens(hinted.unwrap_or(body)) {
        let written = match token {
            Token::Blank(_) => continue,
            Token::Mark("|") if depth == 0 => {
                alternatives.push(Vec::new());
                continue;
            }
            Token::Mark(mark) => {
                match mark {
                    "(" => depth += 1,
                    ")" => depth = depth.saturating_sub(1),
                    _ => {}
                }
                mark.to_owned()
            }
            Token::Name(name) => translated_name(name).to_owned(),
            Token::Literal(text) => quoted(&unescaped(&text[1..text.len() - 1])),
            Token::Class(text) => in_class(text),
        };
        if let Some(last) = alternatives.last_mut() {
            last.push(written);
        }
    }
    out.push_str(name);
    out.push_str(": ");
    looped(name, &alternatives, out);
    out.push('\n');
}

/// The alternatives; those that end in the rule itself as a repetition before the others.
fn looped(name: &str, alternatives: &[Vec<String>], out: &mut String) {
    let (again, last): (Vec<&[String]>, Vec<&[String]>) = alternatives
        .iter()
        .map(Vec::as_slice)
        .partition(|each| each.last().is_some_and(|token| token == name));
    let again: Vec<&[String]> = again.iter().map(|each| &each[..each.len() - 1]).collect();
    let is_inside = |each: &&[String]| each.iter().any(|token| token == name);
    let is_plain = again.is_empty()
        || again.iter().any(|each| each.is_empty())
        || again.iter().chain(&last).any(is_inside);
    if is_plain {
        let all: Vec<&[String]> = alternatives.iter().map(Vec::as_slice).collect();
        return joined(&all, out);
    }
    out.push('(');
    joined(&again, out);
    out.push_str(")* (");
    joined(&last, out);
    out.push(')');
}

fn joined(alternatives: &[&[String]], out: &mut String) {
    for (place, each) in alternatives.iter().enumerate() {
        if place > 0 {
            out.push_str(" | ");
        }
        out.push_str(&each.join(" "));
    }
}

fn translated_name(name: &str) -> &str {
    if name == "root" { "start" } else { name }
}

/// The characters of a literal, or of a class where `braces` are wanted for those by number.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(kind) = rest.chars().next() else {
            return out;
        };
        rest = &rest[kind.len_utf8()..];
        if let Some((code, after)) = by_number(kind, rest) {
            out.extend(char::from_u32(code));
            rest = after;
            continue;
        }
        out.push(match kind {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            other => other,
        });
    }
    out.push_str(rest);
    out
}

/// A class as a regular expression.
fn in_class(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    out.push('/');
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        let kind = rest.chars().next();
        if let Some((code, after)) = kind.and_then(|kind| by_number(kind, &rest[kind.len_utf8()..]))
        {
            // A String takes all that is written to it.
            let _ = write!(out, "u{{{code:x}}}");
            rest = after;
        } else if let Some(kind) = kind {
            out.push(kind);
            rest = &rest[kind.len_utf8()..];
        }
    }
    out.push_str(rest);
    out.push('/');
    out
}

/// The code of `\uXXXX` or `\UXXXXXXXX` behind its letter, and what follows.
fn by_number(kind: char, rest: &str) -> Option<(u32, &str)> {
    let digits = match kind {
        'u' => 4,
        'U' => 8,
        _ => return None,
    };
    let code = u32::from_str_radix(rest.get(..digits)?, 16).ok()?;
    Some((code, &rest[digits..]))
}

#[cfg(test)]
mod tests {
    use super::super::rule_text::CLOSED;
    use super::lark;

    #[test]
    fn a_rule_is_translated() {
        for (ebnf, wanted) in [
            (r#"root ::= "{" r1"#, "start: \"{\" r1\n"),
            (
                r#"r1 ::= "\"a\":" " "? r2 | """#,
                "r1: \"\\\"a\\\":\" \" \" ? r2 | \"\"\n",
            ),
            (r#"r1 ::= "\u00e9\U0001f980\\\n""#, "r1: \"é🦀\\\\\\n\"\n"),
            (
                r"r1 ::= [\u0020-\u0021\u005d-\ud7ffa-c] r2",
                "r1: /[\\u{20}-\\u{21}\\u{5d}-\\u{d7ff}a-c]/ r2\n",
            ),
            (
                r"r1 ::= [\u0022\\bfnrt] | [+\-]?",
                "r1: /[\\u{22}\\\\bfnrt]/ | /[+\\-]/ ?\n",
            ),
            (
                r#"r1 ::= "-"? ("0" | [1-9] [0-9]*) r3"#,
                "r1: \"-\" ? ( \"0\" | /[1-9]/ /[0-9]/ * ) r3\n",
            ),
            // a rule that ends in itself: its parser would go as deep as the string is long
            (
                r#"r4 ::= "\"" | [a-z] r4 | r5 r4"#,
                "r4: (/[a-z]/ | r5)* (\"\\\"\")\n",
            ),
            // with a hint on what follows
            (
                &format!(r#"r4 ::= ("\"" | [a-z] r4{CLOSED}"#),
                "r4: (/[a-z]/)* (\"\\\"\")\n",
            ),
            // not only at its end
            (r#"r4 ::= "x" | r4 r4"#, "r4: \"x\" | r4 r4\n"),
            (r"r3 ::= [a-z]{2,3}", "r3: /[a-z]/ {2,3}\n"),
        ] {
            assert_eq!(lark(ebnf), wanted);
        }
    }
}
