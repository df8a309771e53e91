//! String literals of JSON: what one spells, and how a text is spelled as one.

/// Whether a key with escapes spells an ASCII name.
pub(super) fn decodes_to(raw: &[u8], name: &[u8]) -> bool {
    let mut rest = raw;
    for wanted in name {
        let (got, length) = match rest {
            [b'\\', b'u', digits @ ..] if digits.len() >= 4 => (hex(&digits[..4]), 6),
            [b'\\', b'b', ..] => (8, 2),
            [b'\\', b'f', ..] => (12, 2),
            [b'\\', b'n', ..] => (10, 2),
            [b'\\', b'r', ..] => (13, 2),
            [b'\\', b't', ..] => (9, 2),
            [b'\\', other, ..] => (u32::from(*other), 2),
            [byte, ..] => (u32::from(*byte), 1),
            [] => return false,
        };
        if got != u32::from(*wanted) {
            return false;
        }
        rest = &rest[length..];
    }
    rest.is_empty()
}

fn hex(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |value, digit| {
        value * 16 + char::from(*digit).to_digit(16).unwrap_or(0)
    })
}

/// The characters of a JSON string literal, quotes included; half a surrogate pair is replaced.
pub fn unquote(literal: &[u8]) -> String {
    let inner = literal.strip_prefix(b"\"").unwrap_or(literal);
    let inner = inner.strip_suffix(b"\"").unwrap_or(inner);
    let text = String::from_utf8_lossy(inner);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match rest.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => out.push(unicode(&mut rest)),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

/// The character of an escape whose `\u` was read, and of the other half of its pair.
fn unicode(rest: &mut std::str::Chars<'_>) -> char {
    let unit = |from: &mut std::str::Chars<'_>| {
        let digits: Vec<u8> = from.by_ref().take(4).map(|one| one as u8).collect();
        hex(&digits)
    };
    let first = unit(rest);
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    let mut ahead = rest.clone();
    if ahead.next() == Some('\\') && ahead.next() == Some('u') {
        let second = unit(&mut ahead);
        if (0xdc00..0xe000).contains(&second) {
            *rest = ahead;
            let scalar = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
    }
    char::REPLACEMENT_CHARACTER
}

/// `text` as a JSON string literal, quotes included.
pub fn quote(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.push(b'0' + (byte >> 4));
                out.push(b"0123456789abcdef"[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
    out
}
