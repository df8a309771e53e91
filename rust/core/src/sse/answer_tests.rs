use super::*;
use proptest::prelude::*;

const BOUND: usize = 10_000;

fn run(shape: &StreamShape, chunks: &[&[u8]]) -> (String, Option<StreamEnd>, Usage) {
    let mut stream = AnswerStream::new(shape, BOUND);
    let mut out = Vec::new();
    let mut end = None;
    for chunk in chunks {
        if let Verdict::End(reached) = stream.feed(chunk, &mut out) {
            end = Some(reached);
        }
    }
    (
        String::from_utf8_lossy(&out).into_owned(),
        end,
        stream.usage(),
    )
}

fn shape(usage: UsageShape) -> StreamShape {
    StreamShape {
        usage,
        ..StreamShape::default()
    }
}

#[test]
fn an_end_is_repeated_and_nothing_follows_it() {
    let mut stream = AnswerStream::new(&StreamShape::default(), BOUND);
    let mut out = Vec::new();
    let text =
        b"data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    assert_eq!(
        stream.feed(text, &mut out),
        Verdict::End(StreamEnd::Complete)
    );
    let length = out.len();
    assert_eq!(
        stream.feed(text, &mut out),
        Verdict::End(StreamEnd::Complete)
    );
    assert_eq!(stream.finish(), StreamEnd::Complete);
    assert_eq!(out.len(), length);
}

#[test]
fn bytes_that_stop_without_done_are_no_clean_end() {
    let mut stream = AnswerStream::new(&StreamShape::default(), BOUND);
    let mut out = Vec::new();
    let text = b"data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}\n\n";
    assert_eq!(stream.feed(text, &mut out), Verdict::More);
    assert_eq!(stream.finish(), StreamEnd::Closed);
    assert!(!out.ends_with(DONE));
}

#[test]
fn tokens_count_as_sent_once_a_choice_has_come_out() {
    let mut stream = AnswerStream::new(&StreamShape::default(), BOUND);
    let mut out = Vec::new();
    stream.feed(
        b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\n",
        &mut out,
    );
    assert!(!stream.sent_tokens() && out.is_empty());
    stream.feed(b"data: {\"choices\":[{\"index\":0}]}\n\n", &mut out);
    assert!(stream.sent_tokens());
}

#[test]
fn a_choice_that_nobody_finished_keeps_done_back() {
    let text = b"data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"},{\"index\":1}]}\n\n\
        data: [DONE]\n\n";
    let (out, end, _) = run(&StreamShape::default(), &[text]);
    assert_eq!(end, Some(StreamEnd::Closed));
    assert!(!out.contains("[DONE]"));
}

/// Events of a stream, good and bad, in any order.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let number = 0_u32..4;
    let event = prop_oneof![
        6 => (number.clone(), 0_u32..50).prop_map(|(index, made)| format!(
            "data: {{\"model\":\"m\",\"choices\":[{{\"index\":{index},\
             \"delta\":{{\"content\":\"é\"}},\"finish_reason\":null}}],\
             \"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":{made}}}}}\n\n"
        )),
        4 => number.prop_map(|index| format!(
            "data: {{\"choices\":[{{\"index\":{index},\"finish_reason\":\"stop\"}}]}}\r\n\r\n"
        )),
        2 => Just("data: {\"choices\":[],\"usage\":{\"completion_tokens\":7}}\n\n".to_owned()),
        2 => Just(": comment\n\n".to_owned()),
        1 => Just("event: note\ndata: {\"a\":\ndata: 1}\n\n".to_owned()),
        1 => Just("data: [DONE]\n\n".to_owned()),
        1 => Just("data: {\"error\":{\"message\":\"no\"}}\n\n".to_owned()),
        1 => Just("data: nonsense\n\n".to_owned()),
    ];
    proptest::collection::vec(event, 0..20).prop_map(|events| events.concat().into_bytes())
}

proptest! {
    #[test]
    fn chunk_boundaries_never_matter(
        text in streams(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        usage in prop_oneof![
            Just(UsageShape::None), Just(UsageShape::Final), Just(UsageShape::Continuous)
        ],
    ) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        places.sort_unstable();
        places.push(text.len());
        let mut from = 0;
        let mut chunks = Vec::new();
        for place in places {
            chunks.push(&text[from..place]);
            from = place;
        }
        prop_assert_eq!(run(&shape(usage), &chunks), run(&shape(usage), &[&text]));
    }

    #[test]
    fn done_comes_last_and_only_at_a_clean_end(text in streams()) {
        let (out, end, _) = run(&StreamShape::default(), &[&text]);
        let is_clean = end == Some(StreamEnd::Complete);
        prop_assert_eq!(out.matches("[DONE]").count(), usize::from(is_clean));
        prop_assert_eq!(out.ends_with("data: [DONE]\n\n"), is_clean);
    }

    #[test]
    fn usage_shows_only_when_it_was_asked_for(text in streams()) {
        let (out, _, _) = run(&shape(UsageShape::None), &[&text]);
        prop_assert!(!out.contains("usage"));
        let (out, _, _) = run(&shape(UsageShape::Final), &[&text]);
        let is_chunk = |frame: &&str| !frame.is_empty() && *frame != "data: [DONE]";
        for frame in out.split("\n\n").filter(is_chunk) {
            let is_final = frame.contains("\"choices\":[]");
            prop_assert_eq!(frame.contains("\"usage\":null"), !is_final, "{}", frame);
        }
    }

    #[test]
    fn what_the_client_asked_for_does_not_change_what_is_metered(text in streams()) {
        let metered = |usage| run(&shape(usage), &[&text]).2;
        prop_assert_eq!(metered(UsageShape::None), metered(UsageShape::Final));
        prop_assert_eq!(metered(UsageShape::None), metered(UsageShape::Continuous));
    }

    #[test]
    fn damage_is_named_or_harmless_but_never_a_panic(
        text in streams(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut text = text;
        for (place, byte) in damage {
            if !text.is_empty() {
                let at = place.index(text.len());
                text[at] = byte;
            }
        }
        let (out, end, _) = run(&shape(UsageShape::Final), &[&text]);
        prop_assert_eq!(out.ends_with("data: [DONE]\n\n"), end == Some(StreamEnd::Complete));
    }
}

#[test]
fn the_final_usage_tells_what_it_cost() {
    let priced = StreamShape {
        price: Some(crate::wallet::Price {
            prompt: 100,
            cached: 10,
            completion: 300,
        }),
        ..shape(UsageShape::Final)
    };
    let mut stream = AnswerStream::new(&priced, 1_000);
    let mut out = Vec::new();
    let events = concat!(
        "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n",
        "data: [DONE]\n\n",
    );
    assert_eq!(
        stream.feed(events.as_bytes(), &mut out),
        Verdict::End(StreamEnd::Complete)
    );
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains(r#""completion_tokens":2,"cost":"0.0000013"}}"#),
        "{text}"
    );
}
