//! Law: a body out of which long strings were lifted says, with them put back, what it said before;
//! and it is JSON to other readers if it was.

use serde_json::Value;
use tokenmill_core::lift::{Text, lift, mark};

/// The first byte says how long a string has to be; the rest is the body, which is UTF-8 by then.
pub fn run(input: &[u8]) {
    let [bytes_min, body @ ..] = input else {
        return;
    };
    let Ok(body) = std::str::from_utf8(body) else {
        return;
    };
    let Some(lifted) = lift(body.as_bytes(), usize::from(*bytes_min)) else {
        return;
    };
    let mut whole = String::new();
    let mut rest =
        std::str::from_utf8(&lifted.rest).unwrap_or_else(|_| panic!("cut in a character"));
    for (index, text) in lifted.texts.iter().enumerate() {
        let (before, behind) = rest
            .split_once(&mark(index))
            .unwrap_or_else(|| panic!("no mark for text {index}"));
        whole.push_str(before);
        match text {
            Text::Found(span) => whole.push_str(&body[span.clone()]),
            Text::Spelled(bytes) => whole.push_str(&String::from_utf8_lossy(bytes)),
        }
        rest = behind;
    }
    whole.push_str(rest);
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    assert_eq!(value(&whole), value(body), "it says something else");
}
