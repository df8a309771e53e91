use super::*;
use crate::usage::{DEPTH_MAX, Splice, quote};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

fn read(text: &str) -> Chunk {
    let mut chunk = Chunk::default();
    chunk.read(text.as_bytes()).unwrap();
    chunk
}

fn spliced(text: &str, plan: impl FnOnce(&mut Splice, &Chunk)) -> String {
    let chunk = read(text);
    let mut splice = Splice::default();
    plan(&mut splice, &chunk);
    let mut out = Vec::new();
    let model = quote("new \"name\"");
    splice.write(text.as_bytes(), &model, |piece| {
        out.extend_from_slice(piece);
    });
    String::from_utf8(out).unwrap()
}

#[test]
fn a_vllm_chunk_is_read() {
    let chunk = read(
        r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":1,
        "delta":{"content":"\"usage\":{\"prompt_tokens\":99}"},"logprobs":null,
        "finish_reason":"stop"}],"usage":{"prompt_tokens":5,"total_tokens":8,"completion_tokens":3,
        "prompt_tokens_details":{"cached_tokens":2}}}"#,
    );
    let wanted = Counts {
        prompt: Some(5),
        completion: Some(3),
        cached: Some(2),
    };
    assert_eq!(chunk.counts, Some(wanted));
    assert_eq!(chunk.choices[0].index, 1);
    assert!(!chunk.choices[0].finish.unwrap().is_abort);
    assert!(chunk.error.is_none() && !chunk.is_final_usage());
}

#[test]
fn names_are_known_by_what_they_spell() {
    let chunk =
        read(r#"{"us\u0061ge":{"prompt\u005ftokens":4},"choi\u0063es":[],"usag":1,"Usage":2}"#);
    assert_eq!(chunk.counts.unwrap().prompt, Some(4));
    assert!(chunk.is_final_usage());
}

#[test]
fn the_details_know_best_what_was_cached() {
    let chunk =
        read(r#"{"usage":{"cached_tokens":9,"prompt_tokens_details":{"cached_tokens":2}}}"#);
    assert_eq!(chunk.counts.unwrap().cached, Some(2));
    assert_eq!(
        read(r#"{"usage":{"cached_tokens":9}}"#)
            .counts
            .unwrap()
            .cached,
        Some(9)
    );
}

#[test]
fn numbers_that_are_no_counts_count_nothing() {
    for number in [
        "-1",
        "1.0",
        "1e3",
        "\"5\"",
        "null",
        "99999999999999999999999",
    ] {
        let chunk = read(&format!(r#"{{"usage":{{"prompt_tokens":{number}}}}}"#));
        assert_eq!(chunk.counts.unwrap().prompt, None, "{number}");
    }
}

#[test]
fn the_last_of_two_equal_keys_wins() {
    let chunk = read(
        r#"{"usage":{"prompt_tokens":1},"error":{},"choices":[{"index":3}],"choices":[],
        "usage":{"prompt_tokens":2},"error":null}"#,
    );
    assert_eq!(chunk.counts.unwrap().prompt, Some(2));
    assert!(chunk.choices.is_empty() && chunk.error.is_none());
    assert_eq!(
        read(r#"{"usage":{"prompt_tokens":1},"usage":null}"#).counts,
        None
    );
}

#[test]
fn what_is_no_object_is_told_from_what_is_no_json() {
    let mut chunk = Chunk::default();
    assert_eq!(chunk.read(b" [1]"), Err(ScanError::NotAnObject));
    assert_eq!(chunk.read(b"{} {}"), Err(ScanError::Malformed { at: 3 }));
    assert_eq!(chunk.read(b""), Err(ScanError::Malformed { at: 0 }));
}

#[test]
fn depth_and_choices_are_bounded() {
    let deep = |depth| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let most = DEPTH_MAX as usize - 1;
    let mut chunk = Chunk::default();
    assert_eq!(chunk.read(deep(most).as_bytes()), Ok(()));
    assert_eq!(
        chunk.read(deep(most + 1).as_bytes()),
        Err(ScanError::TooDeep)
    );
    let wide = chunk.read(br#"{"choices":[{"index":1024}]}"#);
    assert_eq!(wide, Err(ScanError::TooManyChoices));
}

#[test]
fn taking_usage_out_leaves_the_commas_right() {
    // Alone, first, last, between, twice in a row at each place, with white space.
    for (text, wanted) in [
        (r#"{"usage":1}"#, "{}"),
        (r#"{ "usage" : 1 }"#, "{ }"),
        (r#"{"usage":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":2,"usage":1}"#, r#"{"a":2}"#),
        (r#"{"a":2, "usage":1 ,"b":3}"#, r#"{"a":2 ,"b":3}"#),
        (r#"{"usage":1,"usage":2}"#, "{}"),
        (r#"{"usage":1,"usage":2,"a":3}"#, r#"{"a":3}"#),
        (r#"{"a":3,"usage":1,"usage":2}"#, r#"{"a":3}"#),
        (
            r#"{"a":3,"usage":1,"usage":2,"b":4,"usage":5}"#,
            r#"{"a":3,"b":4}"#,
        ),
    ] {
        assert_eq!(spliced(text, Splice::remove_usage), wanted, "{text}");
    }
}

/// JSON text with white space anywhere, escapes in names, and names that come twice.
fn values() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,3})?([eE][+-]?[0-9])?",
        "\"([a-z {}\\[\\],:é]|\\\\[\"\\\\/bfnrt]|\\\\u00[0-9a-fA-F]{2}){0,20}\"",
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(spaced(inner.clone()), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            objects(names(), inner),
        ]
    })
}

fn spaced(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    ("[ \t\n\r]{0,2}", text, "[ \t\n\r]{0,2}").prop_map(|(left, text, right)| left + &text + &right)
}

fn objects(
    name: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    let member = (spaced(name), spaced(value)).prop_map(|(name, value)| format!("{name}:{value}"));
    proptest::collection::vec(member, 0..7).prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(r#""usage""#.to_owned()),
        1 => Just(r#""us\u0061ge""#.to_owned()),
        3 => Just(r#""model""#.to_owned()),
        1 => Just(r#""mod\u0065l""#.to_owned()),
        2 => Just(r#""choices""#.to_owned()),
        1 => Just(r#""index""#.to_owned()),
        1 => Just(r#""finish_reason""#.to_owned()),
        1 => Just(r#""error""#.to_owned()),
        1 => Just(r#""prompt_tokens""#.to_owned()),
        3 => "\"[a-e]{0,2}\"",
    ]
}

fn chunks() -> impl Strategy<Value = String> {
    spaced(objects(names(), values()))
}

/// Text of the characters that matter to JSON; now and then it is some.
fn nearly_json() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\\[\\]{}\",:0-9eE+\\-.tfn \\\\ua\u{1f}é]{0,14}",
        "[{\\[][\\[\\]{}\",:01]{0,14}",
        "-?[01]{0,3}[.]?[0-9]{0,2}[eE]?[+-]?[0-9]{0,2}",
        "\"([a \u{1f}\u{7f}]{0,9}|\\\\[\"\\\\/bfnrtux0]|\\\\u[0-9a-gA-F]{3,5}){0,3}\"",
    ]
}

/// Reads the text, or leaves the case out when an index is over the bound.
fn readable(text: &str) -> Result<Chunk, TestCaseError> {
    let mut chunk = Chunk::default();
    match chunk.read(text.as_bytes()) {
        Err(ScanError::TooManyChoices) => Err(TestCaseError::reject("index over the bound")),
        read => {
            prop_assert_eq!(read, Ok(()), "{}", text);
            Ok(chunk)
        }
    }
}

fn model_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

proptest! {
    #[test]
    fn without_usage_it_is_what_a_json_library_makes_of_it(text in chunks()) {
        readable(&text)?;
        let mut wanted = model_of(&text);
        wanted.as_object_mut().unwrap().shift_remove("usage");
        let got = spliced(&text, Splice::remove_usage);
        prop_assert_eq!(model_of(&got), wanted, "{} became {}", text, got);
    }

    #[test]
    fn with_null_usage_it_is_what_a_json_library_makes_of_it(text in chunks()) {
        readable(&text)?;
        let mut wanted = model_of(&text);
        wanted["usage"] = Value::Null;
        let got = spliced(&text, Splice::null_usage);
        prop_assert_eq!(model_of(&got), wanted, "{} became {}", text, got);
    }

    #[test]
    fn with_another_model_it_is_what_a_json_library_makes_of_it(text in chunks()) {
        readable(&text)?;
        let mut wanted = model_of(&text);
        if let Some(model) = wanted.get_mut("model") {
            *model = json!("new \"name\"");
        }
        let got = spliced(&text, |splice, chunk| {
            splice.rename_model(chunk);
            splice.null_usage(chunk);
        });
        wanted["usage"] = Value::Null;
        prop_assert_eq!(model_of(&got), wanted, "{} became {}", text, got);
    }

    #[test]
    fn counts_choices_and_errors_are_what_a_json_library_finds(text in chunks()) {
        let chunk = readable(&text)?;
        let model = model_of(&text);
        let prompt = model["usage"].get("prompt_tokens").filter(|one| !one.is_f64());
        let got = chunk.counts.and_then(|counts| counts.prompt);
        prop_assert_eq!(got, prompt.and_then(Value::as_u64), "{}", text);
        prop_assert_eq!(chunk.error.is_some(), !model["error"].is_null());
        let choices = model["choices"].as_array().cloned().unwrap_or_default();
        prop_assert_eq!(chunk.choices.len(), choices.len());
        for (got, wanted) in chunk.choices.iter().zip(&choices) {
            prop_assert_eq!(u64::from(got.index), wanted["index"].as_u64().unwrap_or(0));
            let finish = got.finish.map(|finish| model_of(
                std::str::from_utf8(finish.value.of(text.as_bytes())).unwrap()
            ));
            prop_assert_eq!(finish.unwrap_or(Value::Null), wanted["finish_reason"].clone());
        }
    }

    #[test]
    fn it_takes_exactly_what_is_json(text in nearly_json()) {
        let mut scanner = Scanner::new(text.as_bytes());
        let got = scanner.value().and_then(|_| scanner.end());
        let wanted = serde_json::from_str::<IgnoredAny>(&text);
        prop_assert_eq!(got.is_ok(), wanted.is_ok(), "{}", text);
    }

    #[test]
    fn it_takes_all_json(text in spaced(values())) {
        let mut scanner = Scanner::new(text.as_bytes());
        prop_assert_eq!(scanner.value().and_then(|_| scanner.end()), Ok(()));
    }

    #[test]
    fn a_quoted_text_is_read_back_as_itself(text in any::<String>()) {
        prop_assert_eq!(serde_json::from_slice::<String>(&quote(&text)).unwrap(), text);
    }
}
