//! The long texts of a client's JSON body, lifted out of it: what a decoder looks at is the rest.
//!
//! A decoder makes a value of every text, and an encoder the same text of that value again: for a
//! prompt of a megabyte that is most of what the request costs. A text that is lifted is spelled as
//! that encoder would spell it, where it stands if it is so already. In the rest stands a mark for
//! it. Whatever is odd lifts nothing: the decoder gets the whole body and says what is wrong.

use std::ops::Range;

use memchr::memchr;

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
    let mut base = open + 1;
    // Of the block's first bytes, how many belong to an escape before it.
    let mut taken = 0_u32;
    while base < body.len() {
        let mut odd = odd_bytes(body, base) & (u64::MAX << taken);
        taken = 0;
        while odd != 0 {
            let bit = odd.trailing_zeros();
            let at = base + bit as usize;
            match body[at] {
                b'"' => {
                    return Some(JsonString {
                        span: open..at + 1,
                        is_spelled_so,
                    });
                }
                b'\\' => {
                    match body.get(at + 1)? {
                        b'"' | b'\\' | b'n' | b'r' | b't' | b'b' | b'f' => {}
                        b'/' | b'u' => is_spelled_so = false,
                        _ => return None,
                    }
                    if bit == 63 {
                        taken = 1;
                        break;
                    }
                    odd &= u64::MAX.checked_shl(bit + 2).unwrap_or(0);
                }
                _ => return None,
            }
        }
        base += BLOCK;
    }
    None
}

const BLOCK: usize = 64;

/// Which of the 64 bytes from `base` on are quotes, backslashes or control characters, the lowest
/// bit for the first.
fn odd_bytes(body: &[u8], base: usize) -> u64 {
    if let Some(block) = body[base..].first_chunk::<BLOCK>() {
        return odd_of(block);
    }
    let mut block = [b' '; BLOCK];
    let last = &body[base..];
    block[..last.len()].copy_from_slice(last);
    odd_of(&block)
}

fn odd_of(block: &[u8; BLOCK]) -> u64 {
    let (words, _) = block.as_chunks::<8>();
    words.iter().rev().fold(0, |odd, word| {
        odd << 8 | odd_of_word(u64::from_le_bytes(*word))
    })
}

/// The same of eight bytes, the first in the lowest ones.
fn odd_of_word(word: u64) -> u64 {
    let quotes = zeros(word ^ each(b'"'));
    let backslashes = zeros(word ^ each(b'\\'));
    let controls = zeros(word & each(0xe0)); // less than 0x20
    // From the highest bit of each byte to a bit a byte: each lands in the highest byte.
    ((quotes | backslashes | controls) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The highest bit of every byte that is zero.
const fn zeros(word: u64) -> u64 {
    let low = each(0x7f);
    !(((word & low) + low) | word | low)
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
