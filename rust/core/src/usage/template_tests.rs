use super::*;
use crate::usage::ScanError;
use proptest::prelude::*;

const NOT_TEXT: Result<(), ScanError> = Err(ScanError::Malformed { at: 0 });

fn read_after(template: &mut Template, text: &[u8], chunk: &mut Chunk) -> Result<(), ScanError> {
    if template.fits(text, chunk) {
        return Ok(());
    }
    if std::str::from_utf8(text).is_err() {
        return NOT_TEXT;
    }
    chunk.read(text)?;
    template.learn(text, chunk);
    Ok(())
}

/// What is read of each text, and of each by a reader that has seen none before.
fn both(texts: &[Vec<u8>]) -> Vec<[Result<Chunk, ScanError>; 2]> {
    let mut template = Template::default();
    let mut chunk = Chunk::default();
    let mut read = |text: &Vec<u8>| {
        let with = read_after(&mut template, text, &mut chunk);
        let mut alone = Chunk::default();
        let is_text = std::str::from_utf8(text).is_ok();
        let without = if is_text { alone.read(text) } else { NOT_TEXT };
        chunk.places.clear(); // for templates only
        alone.places.clear();
        [with.map(|()| chunk.clone()), without.map(|()| alone)]
    };
    texts.iter().map(&mut read).collect()
}

fn chunk_of(content: &str, total: u64, made: u64) -> Vec<u8> {
    let choice = format!(
        r#"{{"index":0,"delta":{{"content":"{content}"}},"logprobs":null,"finish_reason":null}}"#
    );
    let usage =
        format!(r#"{{"prompt_tokens":17,"total_tokens":{total},"completion_tokens":{made}}}"#);
    format!(r#"{{"id":"c","model":"m","choices":[{choice}],"usage":{usage}}}"#).into_bytes()
}

#[test]
fn chunks_of_a_stream_fit_whatever_their_text_and_counts() {
    let texts = [
        chunk_of("a", 18, 1),
        chunk_of("", 1_000, 983),
        chunk_of(r#"\"usage\":{ \u00e9 é"#, 0, 0),
    ];
    let mut template = Template::default();
    let mut chunk = Chunk::default();
    read_after(&mut template, &texts[0], &mut chunk).unwrap();
    for text in &texts {
        assert!(template.fits(text, &mut chunk));
    }
    for [with, without] in both(&texts) {
        assert_eq!(with, without);
    }
}

#[test]
fn what_is_no_json_does_not_fit() {
    let good = chunk_of("a", 18, 1);
    let text = String::from_utf8(good.clone()).unwrap();
    for (old, new) in [
        ("18", "018"),
        ("18", "1.8"),
        ("18", " 18"),
        ("18", "-18"),
        ("18", "\"18\""),
        ("18", ""),
        ("18", "99999999999999999999999"),
        ("\"index\":0", "\"index\":1024"),
        ("\"a\"", "\"a\n\""),
        ("\"a\"", "\"\\x\""),
        ("\"a\"", "\"a\"b\""),
        ("\"a\"", "null"),
        ("}}", "}"),
        ("}}", "}}}"),
    ] {
        let bad = text.replacen(old, new, 1).into_bytes();
        let read = both(&[good.clone(), bad.clone(), good.clone()]);
        for [with, without] in &read {
            assert_eq!(with, without, "{}", String::from_utf8_lossy(&bad));
        }
    }
}

#[test]
fn nothing_is_like_a_stream_that_has_not_begun() {
    assert!(both(&[Vec::new()])[0][0].is_err());
}

#[test]
fn a_stream_whose_chunks_are_never_alike_is_given_up_and_tried_again() {
    let mut template = Template::default();
    let mut chunk = Chunk::default();
    for number in 0..300_usize {
        let text = format!(r#"{{"id":{number},"choices":[{{"index":0}}]}}"#);
        read_after(&mut template, text.as_bytes(), &mut chunk).unwrap();
    }
    let alike = br#"{"id":7,"choices":[{"index":0}]}"#;
    let tries = (0..80).filter(|_| {
        read_after(&mut template, alike, &mut chunk).unwrap();
        template.misses == 0
    });
    assert!(tries.count() > 0);
}

/// Pieces of chunks, so that two texts have much in common and differ at a few places.
fn members() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        Just("0".to_owned()),
        Just("7".to_owned()),
        Just("12".to_owned()),
        Just("null".to_owned()),
        Just("1.5".to_owned()),
        Just("\"3\"".to_owned()),
        Just("01".to_owned()),
    ];
    let text = prop_oneof![
        Just(r#""""#.to_owned()),
        Just(r#"" token""#.to_owned()),
        Just(r#""\"}],\"usage\"""#.to_owned()),
        Just(r#""é\u0041""#.to_owned()),
        Just(r#""stop""#.to_owned()),
        Just("null".to_owned()),
        Just("\"open".to_owned()),
    ];
    let count = (
        prop_oneof![
            Just("prompt_tokens"),
            Just("completion_tokens"),
            Just("cached_tokens"),
            Just("total_tokens")
        ],
        number.clone(),
    )
        .prop_map(|(name, number)| format!(r#""{name}":{number}"#));
    let details = proptest::collection::vec(count.clone(), 0..3)
        .prop_map(|counts| format!(r#""prompt_tokens_details":{{{}}}"#, counts.join(",")));
    let usage = proptest::collection::vec(prop_oneof![4 => count, 1 => details], 0..5)
        .prop_map(|counts| format!(r#""usage":{{{}}}"#, counts.join(",")));
    let field = prop_oneof![
        2 => number.clone().prop_map(|number| format!(r#""index":{number}"#)),
        2 => text.clone().prop_map(|text| format!(r#""delta":{{"content":{text}}}"#)),
        1 => text.clone().prop_map(|text| format!(r#""finish_reason":{text}"#)),
        1 => text.clone().prop_map(|text| format!(r#""text":{text}"#)),
        1 => (text.clone(), text).prop_map(|(one, two)| format!(
            r#""delta":{{"tool_calls":[{{"index":0,"function":{{"arguments":{one}}}}},{two}]}}"#
        )),
    ];
    let choice = proptest::collection::vec(field, 0..4)
        .prop_map(|fields| format!("{{{}}}", fields.join(",")));
    let choices = proptest::collection::vec(choice, 0..3)
        .prop_map(|choices| format!(r#""choices":[{}]"#, choices.join(",")));
    prop_oneof![
        3 => choices,
        3 => usage,
        1 => Just(r#""usage":null"#.to_owned()),
        1 => Just(r#""model":"m""#.to_owned()),
        1 => number.prop_map(|number| format!(r#""created":{number}"#)),
    ]
}

fn objects() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(members(), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_came_before_never_matters(
        first in objects(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), members()), 1..8),
        spaces in proptest::collection::vec(any::<bool>(), 8),
    ) {
        let mut object = first;
        let mut texts = Vec::new();
        for ((at, member), spaced) in edits.into_iter().zip(spaces) {
            let comma = if spaced { " , " } else { "," };
            texts.push(format!("{{{}}}", object.join(comma)).into_bytes());
            if object.is_empty() {
                object.push(member);
            } else {
                let at = at.index(object.len());
                object[at] = member;
            }
        }
        for ([with, without], text) in both(&texts).into_iter().zip(&texts) {
            prop_assert_eq!(with, without, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn nor_where_a_byte_has_changed(
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![4 => prop::sample::select(br#""\0,}"#.to_vec()), 1 => any::<u8>()],
        insert in any::<bool>(),
        content in "[a-z\"\\\\ {}]{0,6}",
        made in 0_u64..2_000,
    ) {
        let good = chunk_of("a", 18, 1);
        let mut other = chunk_of(&content, made + 17, made);
        let at = at.index(other.len());
        if insert {
            other.insert(at, byte);
        } else {
            other[at] = byte;
        }
        for [with, without] in both(&[good.clone(), other, good]) {
            prop_assert_eq!(with, without);
        }
    }
}
