//! How characters stand in JSON: as they are, or with the escape that it forces.

use std::sync::LazyLock;

use super::charset::CharSet;
use super::rules::Piece;

static SPECIAL: LazyLock<CharSet> =
    LazyLock::new(|| CharSet::from_codes(vec![(0, 0x1f), (0x22, 0x22), (0x5c, 0x5c)]));
static PLAIN: LazyLock<CharSet> = LazyLock::new(|| SPECIAL.complement());

/// Makes the sets of this module.
pub(super) fn prepare() {
    LazyLock::force(&PLAIN);
}

/// A string as JSON writes it, with its quotation marks.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut rest = text;
    let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    while let Some(at) = rest.bytes().position(is_special) {
        let code = rest.as_bytes()[at];
        out.push_str(&rest[..at]);
        out.push('\\');
        if let Some(letter) = letter_of(u32::from(code)) {
            out.push(letter);
        } else {
            out.push_str(if code < 0x10 { "u000" } else { "u001" });
            out.extend(digit_of(u32::from(code)));
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
    out
}

/// The letter of the short escape, for the characters that have one.
fn letter_of(code: u32) -> Option<char> {
    Some(match code {
        0x22 => '"',
        0x5c => '\\',
        0x8 => 'b',
        0xc => 'f',
        0xa => 'n',
        0xd => 'r',
        0x9 => 't',
        _ => return None,
    })
}

/// The last digit of the long escape.
fn digit_of(code: u32) -> Option<char> {
    char::from_digit(code & 0xf, 16)
}

/// The characters that JSON forces to be escaped.
pub(super) fn special() -> &'static CharSet {
    &SPECIAL
}

/// All others.
pub(super) fn plain() -> &'static CharSet {
    &PLAIN
}

/// The alternatives for the escapes of these characters.
pub(super) fn escapes_of(escaped: &CharSet) -> Vec<Vec<Piece>> {
    let codes = || escaped.ranges().iter().flat_map(|&(low, high)| low..=high);
    let mut all = Vec::with_capacity(3);
    let short: String = codes().filter_map(letter_of).collect();
    let mut letters = short.chars();
    match (letters.next(), letters.next()) {
        (None, _) => {}
        (Some(only), None) => all.push(vec![Piece::Text(format!("\\{only}").into())]),
        _ => all.push(vec![
            Piece::Text("\\".into()),
            Piece::Class(CharSet::of(&short)),
        ]),
    }
    for (start, row) in [("\\u000", 0), ("\\u001", 0x10)] {
        let is_long = |&code: &u32| code & !0xf == row && letter_of(code).is_none();
        let digits: String = codes().filter(is_long).filter_map(digit_of).collect();
        if !digits.is_empty() {
            let digit = Piece::Class(CharSet::of(&digits));
            all.push(vec![Piece::Text(start.into()), digit]);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn strings_are_quoted_as_other_writers_of_json_do_it() {
        let texts = [
            "",
            "plain",
            "\"",
            "a\\b\n\u{1}\u{1f}é\u{7f}\u{2028}\u{8}\u{c}\r\t😀",
        ];
        for text in texts {
            assert_eq!(quoted(text), serde_json::to_string(text).unwrap());
        }
    }
}
