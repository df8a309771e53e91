//! How characters stand in JSON: as they are, or with the escape that it forces.

use super::charset::{CharSet, char_of};
use super::rules::Piece;

/// A string as JSON writes it, with its quotation marks.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match escape_of(character) {
            Some(escape) => out.push_str(&escape),
            None => out.push(character),
        }
    }
    out.push('"');
    out
}

/// The escape that JSON forces on a character.
fn escape_of(character: char) -> Option<String> {
    Some(match character {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\0'..='\u{1f}' => format!("\\u{:04x}", u32::from(character)),
        _ => return None,
    })
}

/// The characters that JSON forces to be escaped.
pub(super) fn special() -> CharSet {
    CharSet::from_codes(vec![(0, 0x1f), (0x22, 0x22), (0x5c, 0x5c)])
}

/// The alternatives for the escapes of these characters.
pub(super) fn escapes_of(escaped: &CharSet) -> Vec<Vec<Piece>> {
    let codes = || escaped.ranges().iter().flat_map(|&(low, high)| low..=high);
    let mut all = Vec::new();
    let short: String = codes()
        .filter_map(|code| escape_of(char_of(code)))
        .filter_map(|escape| escape.strip_prefix('\\')?.parse::<char>().ok())
        .collect();
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
        let is_long = |&code: &u32| escape_of(char_of(code)).is_some_and(|each| each.len() > 2);
        let digits = codes()
            .filter(|&code| code & !0xf == row && code < 0x20)
            .filter(is_long);
        let digits: String = digits
            .filter_map(|code| char::from_digit(code & 0xf, 16))
            .collect();
        if !digits.is_empty() {
            let digit = Piece::Class(CharSet::of(&digits));
            all.push(vec![Piece::Text(start.into()), digit]);
        }
    }
    all
}
