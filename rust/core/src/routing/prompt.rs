//! The beginnings of a prompt, as hashes: what two prompts have in common is the longest of them
//! that is equal.
//!
//! They end at places that do not depend on the prompt's length: every 256 bytes at first, then a
//! quarter further each time. So a prompt of any length has few, and what is known of a shared
//! beginning is at most a fifth too short.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use memchr::memmem;

/// The first beginning: less than that is computed sooner than looked for.
const STEP_BYTES: usize = 256;
const EVEN_BYTES: usize = 4_096;
/// Bytes of a prompt that are looked at.
pub const PROMPT_BYTES_MAX: usize = 256 * 1024;
/// Beginnings of one prompt.
pub const BEGINNINGS_MAX: usize = ENDS.len();
const ENDS: [usize; 36] = ends();

/// Where beginnings end: their lengths in bytes, in order.
const fn ends() -> [usize; 36] {
    let mut ends = [0; 36];
    let mut index = 0;
    let mut end = 0;
    while index < ends.len() {
        end = if end < EVEN_BYTES {
            end + STEP_BYTES
        } else {
            (end + end / 4).next_multiple_of(STEP_BYTES)
        };
        ends[index] = end;
        index += 1;
    }
    ends
}

/// The hashes of a prompt's beginnings, the shortest first.
#[derive(Debug, Clone, Copy)]
pub struct Beginnings {
    hashes: [u64; BEGINNINGS_MAX],
    count: usize,
    prompt_bytes: usize,
}

impl Default for Beginnings {
    fn default() -> Self {
        Self {
            hashes: [0; BEGINNINGS_MAX],
            count: 0,
            prompt_bytes: 0,
        }
    }
}

impl Beginnings {
    /// The beginnings of `prompt`. `seed`: whose it is; equal prompts of two seeds have nothing in
    /// common. Cost: one pass over at most [`PROMPT_BYTES_MAX`] bytes.
    pub fn of(prompt: &[u8], seed: u64) -> Self {
        let mut found = Self::unknown(prompt.len());
        let (mut begin, mut hash) = (0, seed);
        for (slot, end) in found.hashes.iter_mut().zip(ENDS) {
            let Some(block) = prompt.get(begin..end) else {
                break;
            };
            if end > PROMPT_BYTES_MAX {
                break;
            }
            hash = FixedState::with_seed(hash).hash_one(block);
            *slot = hash;
            begin = end;
            found.count += 1;
        }
        found
    }

    /// The beginnings of the prompt in an engine's JSON request. What an engine computed for one
    /// adapter is nothing to another one. Templates render tools before all messages, wherever they
    /// stand in the request: prompts of other tools have nothing in common.
    pub fn of_request(body: &[u8], seed: u64) -> Self {
        let prompt = prompt_of(body);
        let model = model_of(&body[..body.len() - prompt.len()]);
        let tools = tools_behind(prompt);
        Self::of(prompt, FixedState::with_seed(seed).hash_one((model, tools)))
    }

    /// Of a prompt of which only the length is known.
    pub fn unknown(prompt_bytes: usize) -> Self {
        Self {
            prompt_bytes,
            ..Self::default()
        }
    }

    /// Length of the whole prompt.
    pub fn prompt_bytes(&self) -> usize {
        self.prompt_bytes
    }

    /// The hashes, the shortest beginning's first.
    pub fn hashes(&self) -> &[u64] {
        &self.hashes[..self.count]
    }

    /// Length in bytes of the beginning at `index`.
    pub fn bytes(index: usize) -> usize {
        ENDS[index]
    }
}

/// The part of an engine's JSON request that the engine computes first: tools, where they stand
/// before the messages, then messages or prompt. All of it, where neither is found.
///
/// Quotes inside of strings are escaped, so a key in quotes is never found in a client's text.
fn prompt_of(body: &[u8]) -> &[u8] {
    let begin = memmem::find(body, b"\"messages\":[")
        .map(|messages| memmem::find(&body[..messages], b"\"tools\":[").unwrap_or(messages))
        .or_else(|| memmem::find(body, b"\"prompt\":"));
    &body[begin.unwrap_or(0)..]
}

/// The model that is asked for, where it stands before the prompt.
fn model_of(before: &[u8]) -> Option<&[u8]> {
    let name = memmem::find(before, b"\"model\":\"")? + b"\"model\":\"".len();
    before[name..].split(|byte| *byte == b'"').next()
}

/// The tools of a prompt in whose request they stand behind the messages, and what is between them
/// and the choice of one.
fn tools_behind(prompt: &[u8]) -> Option<&[u8]> {
    let tools = &prompt[memmem::find(prompt, b"\"tools\":[")?..];
    let end = memmem::rfind(tools, b"],\"tool_choice\":");
    (tools.len() < prompt.len()).then(|| &tools[..end.unwrap_or(tools.len())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_beginning_is_the_longest_that_is_looked_at() {
        let whole = vec![b'x'; PROMPT_BYTES_MAX * 2];
        let count = Beginnings::of(&whole, 1).hashes().len();
        assert!(count < BEGINNINGS_MAX, "the table of ends is too short");
        assert!(Beginnings::bytes(count - 1) <= PROMPT_BYTES_MAX);
        assert!(Beginnings::bytes(count - 1) > PROMPT_BYTES_MAX / 4 * 3);
    }

    #[test]
    fn a_prompt_is_found_behind_settings_and_with_its_tools() {
        let of = |body: &str| String::from_utf8(prompt_of(body.as_bytes()).to_vec()).unwrap();
        assert_eq!(of(r#"{"n":1,"messages":[{}]}"#), r#""messages":[{}]}"#);
        assert_eq!(
            of(r#"{"n":1,"tools":[1],"messages":[]}"#),
            r#""tools":[1],"messages":[]}"#
        );
        assert_eq!(
            of(r#"{"messages":[],"tools":[1]}"#),
            r#""messages":[],"tools":[1]}"#
        );
        let quoted = r#"{"stop":"\"messages\":[","prompt":"\"messages\":["}"#;
        assert_eq!(of(quoted), r#""prompt":"\"messages\":["}"#);
        assert_eq!(of("{}"), "{}");
    }

    #[test]
    fn prompts_for_other_adapters_have_nothing_in_common() {
        let of = |model: &str| {
            let said = "x".repeat(2_000);
            let body =
                format!(r#"{{"model":"{model}","n":1,"messages":[{{"content":"{said}"}}]}}"#);
            Beginnings::of_request(body.as_bytes(), 7).hashes().to_vec()
        };
        let (one, other) = (of("lora-1"), of("lora-2"));
        assert!(one.len() > 6);
        assert!(one.iter().zip(&other).all(|(one, other)| one != other));
        assert_eq!(one, of("lora-1"));
    }

    #[test]
    fn prompts_of_other_tools_have_nothing_in_common() {
        let said = "x".repeat(2_000);
        let of = |tools: &str, said: &str, choice: &str| {
            let messages = format!(r#"{{"n":1,"messages":[{{"content":"{said}"}}],"#);
            let body = format!(r#"{messages}"tools":[{tools}],"tool_choice":"{choice}"}}"#);
            Beginnings::of_request(body.as_bytes(), 7).hashes().to_vec()
        };
        let (one, other) = (of("{1}", &said, "auto"), of("{2}", &said, "auto"));
        assert!(one.len() > 6);
        assert!(one.iter().zip(&other).all(|(one, other)| one != other));
        // Those of equal tools share what is said, whatever is to be chosen.
        let further = of("{1}", &format!("{said}{said}"), "none");
        assert_eq!(further[..7], one[..7]);
        // What a client says of tools is in a string, where its quotes are escaped.
        let quoted = of("{1}", r#"\"tools\":["#, "auto");
        assert_eq!(quoted, of("{1}", r#"\"tools\":["#, "none"));
    }

    proptest! {
        #[test]
        fn two_prompts_share_the_beginnings_that_end_before_they_differ(
            length in 0_usize..20_000, at in 0_usize..20_000, more in 0_usize..3_000,
        ) {
            let one: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let mut other = one.clone();
            other.extend(std::iter::repeat_n(b'+', more));
            let differs = if at < length { other[at] ^= 1; at } else { length };
            let (first, second) = (Beginnings::of(&one, 7), Beginnings::of(&other, 7));
            let both = first.hashes().iter().zip(second.hashes());
            let equal = both.take_while(|(one, other)| one == other).count();
            let expected = ENDS.iter().filter(|end| **end <= differs).count();
            prop_assert_eq!(equal, expected);
            prop_assert!(Beginnings::of(&one, 8).hashes().iter().zip(first.hashes())
                .all(|(one, other)| one != other));
        }
    }
}
