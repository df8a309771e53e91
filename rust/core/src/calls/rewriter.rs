//! An engine's answer objects written anew: what its text says of calls becomes `tool_calls`.
//!
//! One chunk may become several, as `OpenAI` streams a call: first its id, type and name, then
//! fragments of its arguments by index. All other members stay as they came. Knows chats alone.

use sha2::{Digest, Sha256};

use super::reader::{CallReader, Told};
use crate::usage::{CHOICES_MAX, ScanError, Scanner, Span, quote, unquote};

const ID_CHARACTERS: usize = 24;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a request says about its calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallShape {
    /// The tools that may be called.
    pub names: Vec<String>,
    /// Calls of one choice beyond this are dropped.
    pub calls_max: u32,
    /// What ids are made of: unique to the request.
    pub seed: String,
}

/// Writes a stream's chunks anew.
#[derive(Debug)]
pub struct CallRewriter {
    shape: CallShape,
    choices: Vec<Choice>,
}

/// One choice on its way.
#[derive(Debug)]
struct Choice {
    reader: CallReader,
    /// Calls begun so far.
    begun: u32,
}

/// Where the members of a choice stand in the text.
#[derive(Debug, Default)]
struct Members {
    index: u32,
    /// `message` or `delta`.
    inner: Option<Span>,
    finish: Option<Span>,
    logprobs: Option<Span>,
    /// All others, each with its key.
    others: Vec<Span>,
}

impl Choice {
    /// Members of deltas that tell a client the same; `index` is the choice's own.
    fn deltas(&mut self, told: Vec<Told>, seed: &str, index: u32) -> Vec<Vec<u8>> {
        let told = told.into_iter().map(|one| match one {
            Told::Text(text) => [b"\"content\":".to_vec(), quote(&text)].concat(),
            Told::Begin(name) => {
                self.begun += 1;
                let id = call_id(seed, index, self.begun - 1);
                begun(self.begun - 1, &id, &name)
            }
            Told::Arguments(text) => fragment(self.begun.saturating_sub(1), &text),
        });
        told.collect()
    }
}

impl CallRewriter {
    /// A rewriter of a stream at its start.
    pub fn new(shape: CallShape) -> Self {
        Self {
            shape,
            choices: Vec::new(),
        }
    }

    /// The chunks that `text`, a chunk of the engine, becomes; possibly none.
    ///
    /// # Errors
    /// [`ScanError`] when `text` is not one JSON object.
    pub fn chunk(&mut self, text: &[u8]) -> Result<Vec<Vec<u8>>, ScanError> {
        let Some((choices, members)) = read_choices(text, b"delta")? else {
            return Ok(vec![text.to_vec()]);
        };
        if members.is_empty() {
            return Ok(vec![text.to_vec()]);
        }
        let mut chunks = Vec::new();
        for one in &members {
            for choice in self.choice(text, one)? {
                let mut chunk = Vec::with_capacity(text.len() + choice.len());
                chunk.extend_from_slice(&text[..choices.from]);
                chunk.push(b'[');
                chunk.extend_from_slice(&choice);
                chunk.push(b']');
                chunk.extend_from_slice(&text[choices.to..]);
                chunks.push(chunk);
            }
        }
        Ok(chunks)
    }

    fn choice(&mut self, text: &[u8], members: &Members) -> Result<Vec<Vec<u8>>, ScanError> {
        let delta = Inner::read(text, members.inner)?;
        let index = members.index as usize;
        while self.choices.len() <= index {
            let names = self.shape.names.clone();
            let reader = CallReader::new(names, self.shape.calls_max);
            self.choices.push(Choice { reader, begun: 0 });
        }
        let finish = members
            .finish
            .map(|span| span.of(text))
            .filter(|value| *value != b"null");
        let choice = &mut self.choices[index];
        let mut told = delta
            .content
            .as_deref()
            .map_or_else(Vec::new, |content| choice.reader.feed(content));
        if finish.is_some() {
            told.append(&mut choice.reader.finish());
        }
        let mut deltas = choice.deltas(told, &self.shape.seed, members.index);
        let logprobs = members.logprobs.map_or(&b"null"[..], |span| span.of(text));
        if deltas.is_empty() {
            if !delta.says_more && finish.is_none() && logprobs == b"null" {
                return Ok(Vec::new());
            }
            let empty = if delta.has_content && finish.is_none() {
                &b"\"content\":\"\""[..]
            } else {
                b""
            };
            deltas.push(empty.to_vec());
        }
        let last = deltas.len() - 1;
        let finish = finish_of(finish, choice.begun > 0);
        let written = deltas
            .into_iter()
            .enumerate()
            .map(|(at, members_of_delta)| {
                let mut parts = Vec::new();
                if at == 0 {
                    parts.extend(delta.others.iter().map(|span| span.of(text).to_vec()));
                }
                if !members_of_delta.is_empty() {
                    parts.push(members_of_delta);
                }
                let shown = if at == 0 { logprobs } else { b"null" };
                let reason = if at == last { finish } else { b"null" };
                let inner = (&b"\"delta\":{"[..], parts);
                written_choice(text, members, inner, shown, reason)
            });
        Ok(written.collect())
    }
}

/// A choice with these members of its `delta` or `message`.
fn written_choice(
    text: &[u8],
    members: &Members,
    (begin, inner): (&[u8], Vec<Vec<u8>>),
    logprobs: &[u8],
    finish: &[u8],
) -> Vec<u8> {
    let others = members.others.iter().map(|span| span.of(text).to_vec());
    let mut all: Vec<Vec<u8>> = others.collect();
    all.push([begin, &inner.join(&b','), b"}"].concat());
    all.push([&b"\"logprobs\":"[..], logprobs].concat());
    all.push([&b"\"finish_reason\":"[..], finish].concat());
    [&b"{"[..], &all.join(&b','), b"}"].concat()
}

/// A complete answer with the calls that its choices' texts hold; `None` when it has no choices.
///
/// # Errors
/// [`ScanError`] when `body` is not one JSON object.
pub fn rewrite_whole(body: &[u8], shape: &CallShape) -> Result<Option<Vec<u8>>, ScanError> {
    let Some((choices, members)) = read_choices(body, b"message")? else {
        return Ok(None);
    };
    let written: Result<Vec<_>, _> = members
        .iter()
        .map(|one| whole_choice(body, one, shape))
        .collect();
    let mut out = body[..choices.from].to_vec();
    out.push(b'[');
    out.extend_from_slice(&written?.join(&b','));
    out.push(b']');
    out.extend_from_slice(&body[choices.to..]);
    Ok(Some(out))
}

fn whole_choice(body: &[u8], members: &Members, shape: &CallShape) -> Result<Vec<u8>, ScanError> {
    let message = Inner::read(body, members.inner)?;
    let mut reader = CallReader::new(shape.names.clone(), shape.calls_max);
    let mut told = message
        .content
        .map_or_else(Vec::new, |content| reader.feed(&content));
    told.append(&mut reader.finish());
    let (mut content, mut calls) = (String::new(), Vec::<(String, String)>::new());
    for one in told {
        match one {
            Told::Text(text) => content.push_str(&text),
            Told::Begin(name) => calls.push((name, String::new())),
            Told::Arguments(text) => {
                if let Some((_, arguments)) = calls.last_mut() {
                    arguments.push_str(&text);
                }
            }
        }
    }
    let mut parts: Vec<Vec<u8>> = message
        .others
        .iter()
        .map(|span| span.of(body).to_vec())
        .collect();
    let is_null = content.trim().is_empty() && (!calls.is_empty() || !message.has_content);
    let shown = if is_null {
        b"null".to_vec()
    } else {
        quote(&content)
    };
    parts.push([b"\"content\":".to_vec(), shown].concat());
    if !calls.is_empty() {
        let written: Vec<Vec<u8>> = (0..)
            .zip(&calls)
            .map(|(number, (name, arguments))| {
                let id = call_id(&shape.seed, members.index, number);
                whole_call(&id, name, arguments)
            })
            .collect();
        parts.push([&b"\"tool_calls\":["[..], &written.join(&b','), b"]"].concat());
    }
    let logprobs = members.logprobs.map_or(&b"null"[..], |span| span.of(body));
    let finish = members.finish.map(|span| span.of(body));
    let finish = finish_of(finish, !calls.is_empty());
    let inner = (&b"\"message\":{"[..], parts);
    Ok(written_choice(body, members, inner, logprobs, finish))
}

/// What stands in a `message` or `delta`.
#[derive(Default)]
struct Inner {
    content: Option<String>,
    has_content: bool,
    /// Whether one of the others is not null.
    says_more: bool,
    /// All other members, each with its key.
    others: Vec<Span>,
}

impl Inner {
    fn read(text: &[u8], span: Option<Span>) -> Result<Self, ScanError> {
        let mut inner = Self::default();
        let Some(span) = span.filter(|span| span.of(text).starts_with(b"{")) else {
            return Ok(inner);
        };
        let mut scanner = Scanner::new(&text[..span.to]);
        scanner.skip_to(span.from);
        scanner.object(|scanner, key| {
            let from = key.span.from - 1;
            let value = scanner.value()?;
            if key.spells(text, b"content") {
                inner.has_content = true;
                let value = value.of(text);
                inner.content = value.starts_with(b"\"").then(|| unquote(value));
            } else if !(key.spells(text, b"tool_calls") && is_empty_value(value.of(text))) {
                inner.says_more |= value.of(text) != b"null";
                inner.others.push(Span { from, to: value.to });
            }
            Ok(())
        })?;
        Ok(inner)
    }
}

fn is_empty_value(value: &[u8]) -> bool {
    value == b"null" || value == b"[]"
}

fn read_choices(text: &[u8], inner: &[u8]) -> Result<Option<(Span, Vec<Members>)>, ScanError> {
    let mut found = None;
    let mut scanner = Scanner::new(text);
    scanner.object(|scanner, key| {
        let is_choices = key.spells(text, b"choices") && scanner.peek() == Some(b'[');
        if !is_choices {
            return scanner.value().map(drop);
        }
        let from = scanner.at();
        let mut all = Vec::new();
        scanner.array(|scanner| {
            all.push(read_members(scanner, text, inner)?);
            Ok(())
        })?;
        found = Some((
            Span {
                from,
                to: scanner.at(),
            },
            all,
        ));
        Ok(())
    })?;
    scanner.end()?;
    Ok(found)
}

fn read_members(
    scanner: &mut Scanner<'_>,
    text: &[u8],
    inner: &[u8],
) -> Result<Members, ScanError> {
    let mut members = Members::default();
    scanner.object(|scanner, key| {
        let from = key.span.from - 1;
        let value = scanner.value()?;
        let raw = key.span.of(text);
        if raw == inner {
            members.inner = Some(value);
        } else if raw == b"finish_reason" {
            members.finish = Some(value);
        } else if raw == b"logprobs" {
            members.logprobs = Some(value);
        } else {
            if raw == b"index" {
                let digits = std::str::from_utf8(value.of(text)).unwrap_or_default();
                members.index = match digits.parse() {
                    Ok(index) if index < CHOICES_MAX => index,
                    _ => return Err(ScanError::TooManyChoices),
                };
            }
            members.others.push(Span { from, to: value.to });
        }
        Ok(())
    })?;
    Ok(members)
}

/// A choice with calls ends by them, unless it was cut.
fn finish_of(finish: Option<&[u8]>, has_calls: bool) -> &[u8] {
    match finish {
        Some(b"\"stop\"") if has_calls => b"\"tool_calls\"",
        Some(other) => other,
        None => b"null",
    }
}

fn begun(number: u32, id: &str, name: &str) -> Vec<u8> {
    let mut out = format!("\"tool_calls\":[{{\"index\":{number},\"id\":\"{id}\",").into_bytes();
    out.extend_from_slice(b"\"type\":\"function\",\"function\":{\"name\":");
    out.extend_from_slice(&quote(name));
    out.extend_from_slice(b",\"arguments\":\"\"}}]");
    out
}

fn fragment(number: u32, text: &str) -> Vec<u8> {
    let mut out =
        format!("\"tool_calls\":[{{\"index\":{number},\"function\":{{\"arguments\":").into_bytes();
    out.extend_from_slice(&quote(text));
    out.extend_from_slice(b"}}]");
    out
}

fn whole_call(id: &str, name: &str, arguments: &str) -> Vec<u8> {
    let mut out =
        format!("{{\"id\":\"{id}\",\"type\":\"function\",\"function\":{{\"name\":").into_bytes();
    out.extend_from_slice(&quote(name));
    out.extend_from_slice(b",\"arguments\":");
    out.extend_from_slice(&quote(arguments));
    out.extend_from_slice(b"}}");
    out
}

/// The id of a choice's call: the same for the same request, and no other's.
fn call_id(seed: &str, choice: u32, number: u32) -> String {
    let digest = Sha256::digest(format!("{seed}/{choice}/{number}"));
    let digits = digest
        .iter()
        .take(ID_CHARACTERS)
        .map(|byte| char::from(DIGITS[usize::from(*byte) % DIGITS.len()]));
    format!("call_{}", digits.collect::<String>())
}

#[cfg(test)]
#[path = "rewriter_tests.rs"]
mod tests;
