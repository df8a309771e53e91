//! Law: a JSON answer that is accepted is JSON to other readers too, renamed or not.

use serde::de::IgnoredAny;
use tokenmill_core::usage::{quote, read_whole};

/// The input is the answer's body.
pub fn run(input: &[u8]) {
    let model = quote("renamed \"model\"");
    let Ok(read) = read_whole(input, Some(&model)) else {
        return;
    };
    assert!(is_json(input), "accepted, and no JSON");
    if let Some(rewritten) = read.rewritten {
        assert!(is_json(&rewritten), "no JSON after it was renamed");
        let again = read_whole(&rewritten, None).map(|again| (again.usage, again.is_error));
        assert_eq!(again, Ok((read.usage, read.is_error)), "another answer");
    }
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}
