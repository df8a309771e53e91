//! The long texts of a client's JSON body, lifted out of it: what a decoder looks at is the rest.
//!
//! A decoder makes a value of every text, and an encoder the same text of that value again: for a
//! prompt of a megabyte that is most of what the request costs. A text that is lifted is spelled as
//! that encoder would spell it, where it stands if it is so already. In the rest stands a mark for
//! it. Whatever is odd lifts nothing: the decoder gets the whole body and says what is wrong.

use std::ops::Range;

use memchr::{memchr, memchr2};

use crate::body::holds_nul;

/// What was lifted out of a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Lifted {
    /// The body with [`mark`] for each text.
    pub rest: Vec<u8>,
    /// The texts in order: JSON strings, with their quotes.
    pub texts: Vec<Text>,
}

/// A text that was lifted.
#[derive(Debug, PartialEq, Eq)]
pub enum Text {
    /// It stands so in the body.
    Found(Range<usize>),
    /// It was spelled otherwise there.
    Spelled(Vec<u8>),
}

/// What stands in the rest for a text: no other string there holds NUL.
pub fn mark(index: usize) -> String {
    format!(r#""\u0000{index}""#)
}

/// The strings of at least `bytes_min` bytes, lifted out of a body, keys among them; `None` where
/// there is none, where a string holds NUL, and where a string is wrong.
///
/// `body` is UTF-8. Outside of strings nothing is judged. Cost: one pass.
pub fn lift(body: &[u8], bytes_min: usize) -> Option<Lifted> {
    let mut lifted = Lifted {
        rest: Vec::new(),
        texts: Vec::new(),
    };
    let (mut kept, mut at) = (0, 0);
    while let Some(open) = memchr(b'"', &body[at..]) {
        let open = at + open;
        let string = string_at(body, open)?;
        at = string.span.end;
        if string.span.len() >= bytes_min {
            let mark = mark(lifted.texts.len());
            lifted.rest.extend_from_slice(&body[kept..open]);
            lifted.rest.extend_from_slice(mark.as_bytes());
            kept = at;
            lifted.texts.push(string.into_text(body)?);
        } else if !string.is_spelled_so && holds_nul(&body[string.span]) {
            return None;
        }
    }
    if lifted.texts.is_empty() {
        return None;
    }
    lifted.rest.extend_from_slice(&body[kept..]);
    Some(lifted)
}

/// A JSON string in a body, quotes included.
struct JsonString {
    span: Range<usize>,
    /// As an encoder would spell it.
    is_spelled_so: bool,
}

impl JsonString {
    fn into_text(self, body: &[u8]) -> Option<Text> {
        if self.is_spelled_so {
            Some(Text::Found(self.span))
        } else {
            respell(&body[self.span]).map(Text::Spelled)
        }
    }
}

/// The string whose quote is at `open`; `None` where it has no end, or a byte or an escape that no
/// string may have.
fn string_at(body: &[u8], open: usize) -> Option<JsonString> {
    let mut is_spelled_so = true;
    let mut at = open + 1;
    loop {
        at += memchr2(b'"', b'\\', body.get(at..)?)?;
        if body[at] == b'"' {
            break;
        }
        match body.get(at + 1)? {
            b'"' | b'\\' | b'n' | b'r' | b't' | b'b' | b'f' => {}
            b'/' | b'u' => is_spelled_so = false,
            _ => return None,
        }
        at += 2;
    }
    // The smallest byte tells of control characters, many at once: of bytes, as the least of
    // references is sought one by one.
    let smallest = body[open + 1..at].iter().copied().min();
    let has_control = smallest.is_some_and(|byte| byte < b' ');
    (!has_control).then_some(JsonString {
        span: open..at + 1,
        is_spelled_so,
    })
}

/// A string, its quotes included, as an encoder spells it; `None` where it holds NUL, half of a
/// surrogate pair or an escape that is none.
fn respell(string: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(string.len());
    let mut rest = string;
    while let Some(at) = memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = match rest.get(at + 1)? {
            b'u' => {
                let (character, behind) = escaped(&rest[at..])?;
                push(character, &mut out)?;
                behind
            }
            b'/' => {
                out.push(b'/');
                &rest[at + 2..]
            }
            _ => {
                out.extend_from_slice(&rest[at..at + 2]);
                &rest[at + 2..]
            }
        };
    }
    out.extend_from_slice(rest);
    Some(out)
}

/// The character of a `\u` escape, or of the two that are a surrogate pair, and what follows.
fn escaped(text: &[u8]) -> Option<(char, &[u8])> {
    let (first, rest) = unit(text)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, rest));
    }
    let (second, rest) = unit(rest)?;
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    Some((
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + low)?,
        rest,
    ))
}

/// The number of one `\u` escape, and what follows.
fn unit(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.strip_prefix(br"\u")?.first_chunk::<4>()?;
    let value = digits.iter().try_fold(0, |value, digit| {
        Some(value << 4 | char::from(*digit).to_digit(16)?)
    })?;
    Some((value, &text[6..]))
}

fn push(character: char, out: &mut Vec<u8>) -> Option<()> {
    match character {
        '\0' => return None,
        '"' => out.extend_from_slice(br#"\""#),
        '\\' => out.extend_from_slice(br"\\"),
        '\n' => out.extend_from_slice(br"\n"),
        '\r' => out.extend_from_slice(br"\r"),
        '\t' => out.extend_from_slice(br"\t"),
        '\u{8}' => out.extend_from_slice(br"\b"),
        '\u{c}' => out.extend_from_slice(br"\f"),
        control @ '\u{1}'..='\u{1f}' => {
            out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
        }
        other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
    Some(())
}

#[cfg(test)]
#[path = "lift_tests.rs"]
mod tests;
