//! As much of a request as decides its answer, found without reading it all as JSON.

use std::ops::Range;

use memchr::memmem::find;

use crate::answers::StreamKind;

const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// Where the parts of a whole request stand.
pub struct Request {
    pub path: Range<usize>,
    pub body_from: usize,
    pub end: usize,
}

impl Request {
    /// The request at the front of `bytes`, if all of it is there.
    pub fn find(bytes: &[u8]) -> Option<Self> {
        let body_from = find(bytes, b"\r\n\r\n")? + 4;
        let head = &bytes[..body_from];
        let path_from = head.iter().position(|byte| *byte == b' ')? + 1;
        let path_length = head[path_from..].iter().position(|byte| *byte == b' ')?;
        let end = if is_chunked(head) {
            // No line end stands in JSON that is written on one line: the first one so ends the
            // body. The sizes between its pieces hide none of the few fields that are looked at.
            body_from + find(&bytes[body_from..], LAST_CHUNK)? + LAST_CHUNK.len()
        } else {
            body_from + content_length(head)
        };
        (bytes.len() >= end).then_some(Self {
            path: path_from..path_from + path_length,
            body_from,
            end,
        })
    }
}

/// What a request asks for.
pub struct Asked {
    pub is_stream: bool,
    pub tokens: u64,
    pub pace_ms: u64,
    has_usage: bool,
    is_continuous: bool,
}

impl Asked {
    /// What the JSON in `body` asks for.
    pub fn read(body: &[u8]) -> Self {
        Self {
            is_stream: is_true(body, b"\"stream\":"),
            tokens: number(body, b"\"max_tokens\":").unwrap_or(16),
            pace_ms: number(body, b"\"seed\":").unwrap_or(0),
            has_usage: is_true(body, b"\"include_usage\":"),
            is_continuous: is_true(body, b"\"continuous_usage_stats\":"),
        }
    }

    pub fn stream_kind(&self) -> StreamKind {
        StreamKind {
            tokens: self.tokens,
            has_usage: self.has_usage,
            is_continuous: self.is_continuous && self.has_usage,
        }
    }
}

fn is_chunked(head: &[u8]) -> bool {
    let lower = head.to_ascii_lowercase();
    value_of(&lower, b"\r\ntransfer-encoding:").is_some_and(|value| value.starts_with(b"chunked"))
}

fn content_length(head: &[u8]) -> usize {
    let lower = head.to_ascii_lowercase();
    let value = value_of(&lower, b"\r\ncontent-length:");
    value.and_then(digits).map_or(0, |length| {
        usize::try_from(length).unwrap_or(usize::MAX / 2)
    })
}

fn is_true(body: &[u8], key: &[u8]) -> bool {
    value_of(body, key).is_some_and(|value| value.starts_with(b"true"))
}

fn number(body: &[u8], key: &[u8]) -> Option<u64> {
    value_of(body, key).and_then(digits)
}

fn value_of<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    find(text, key).map(|at| text[at + key.len()..].trim_ascii_start())
}

fn digits(text: &[u8]) -> Option<u64> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..count]).ok()?.parse().ok()
}
