use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn texts(body: &str, lifted: &Lifted) -> Vec<String> {
    let spelled = |text: &Text| match text {
        Text::Found(span) => body[span.clone()].to_owned(),
        Text::Spelled(bytes) => String::from_utf8(bytes.clone()).unwrap(),
    };
    lifted.texts.iter().map(spelled).collect()
}

/// The body that the rest and the texts are together.
fn put_back(body: &str, lifted: &Lifted) -> String {
    let mut whole = String::from_utf8(lifted.rest.clone()).unwrap();
    for (index, text) in texts(body, lifted).iter().enumerate() {
        whole = whole.replacen(&mark(index), text, 1);
    }
    whole
}

#[test]
fn long_strings_leave_marks_and_short_ones_stay() {
    let body = r#"{"a":"short","b":"a longer text","c":["another long one"]}"#;
    let lifted = lift(body.as_bytes(), 12).unwrap();
    assert_eq!(
        lifted.rest,
        br#"{"a":"short","b":"\u00000","c":["\u00001"]}"#
    );
    assert_eq!(
        texts(body, &lifted),
        [r#""a longer text""#, r#""another long one""#]
    );
}

#[test]
fn what_an_encoder_would_spell_otherwise_is_respelled() {
    for (given, wanted) in [
        (r#""\/\u0041\u00e9\ud83d\ude00""#, "\"/Aé😀\""),
        (r#""\u0022\u005C\u000a\u001F""#, r#""\"\\\n\u001f""#),
    ] {
        let lifted = lift(given.as_bytes(), 1).unwrap();
        assert_eq!(lifted.texts, [Text::Spelled(wanted.as_bytes().to_vec())]);
    }
}

#[test]
fn what_is_wrong_lifts_nothing() {
    let long = "x".repeat(200);
    for body in [
        format!(r#"{{"a":"{long}"#),
        format!("{{\"a\":\"{long}\n\"}}"),
        format!(r#"{{"a":"{long}\x"}}"#),
        format!(r#"{{"a":"{long}\u12g4"}}"#),
        format!(r#"{{"a":"{long}\ud800"}}"#),
        format!(r#"{{"a":"{long}\ud800\u0041"}}"#),
        format!(r#"{{"a":"{long}\udc00"}}"#),
        format!(r#"{{"a":"{long}\u0000"}}"#),
        format!(r#"{{"a":"{long}","b":"\u0000"}}"#),
        format!(r#"{{"a":"{long}\"#),
        format!(r#"{{"a":"{long}","b":"\u00000"}}"#),
        r#"{"a":"short"}"#.to_owned(),
        String::new(),
    ] {
        assert_eq!(lift(body.as_bytes(), 100), None, "{body}");
    }
}

#[test]
fn an_escape_may_end_anywhere() {
    for length in 0..200 {
        let body = format!(r#"["{}\"\\{}"]"#, "x".repeat(length), "y".repeat(100));
        let lifted = lift(body.as_bytes(), 100).unwrap();
        assert_eq!(put_back(&body, &lifted), body);
    }
}

proptest! {
    #[test]
    fn no_control_character_passes(before in "[a-z]{0,70}", control in 0_u8..0x20) {
        let body = format!(r#"["{before}{}{}"]"#, char::from(control), "y".repeat(100));
        prop_assert_eq!(lift(body.as_bytes(), 50), None);
    }

    /// Decoded, a body and what was made of it are one value; and a decoder that takes the one
    /// takes the other.
    #[test]
    fn what_is_lifted_says_what_the_body_said(
        pieces in prop::collection::vec(
            r#"[a-z é😀]{0,70}|\\["\\/nrtbf]|\\u[0-9a-fA-F]{4}|\\ud83d\\ude00|",|"|\{|:|\[|\]"#,
            0..12,
        ),
        bytes_min in 1_usize..90,
    ) {
        let body = format!(r#"["{}"]"#, pieces.concat());
        let value = serde_json::from_str::<Value>(&body);
        if let Some(lifted) = lift(body.as_bytes(), bytes_min) {
            let whole = put_back(&body, &lifted);
            match (value, serde_json::from_str::<Value>(&whole)) {
                (Ok(value), Ok(other)) => prop_assert_eq!(value, other),
                (Err(_), Err(_)) => {}
                _ => prop_assert!(false, "{} became {}", body, whole),
            }
        }
    }
}
