//! The vectors of `tests/conformance/cases/sse.toml`, each cut at every byte.

#![expect(clippy::unwrap_used, reason = "tests")]

use tokenmill_core::sse::{AnswerStream, StreamEnd, StreamShape, UsageShape, Verdict};
use toml::{Table, Value};

const CASES: &str = include_str!("../../../tests/conformance/cases/sse.toml");

fn cases() -> Vec<Table> {
    let file: Table = CASES.parse().unwrap();
    let cases = file["case"].as_array().unwrap();
    cases
        .iter()
        .map(|case| case.as_table().unwrap().clone())
        .collect()
}

fn text<'a>(case: &'a Table, key: &str) -> Option<&'a str> {
    case.get(key).and_then(Value::as_str)
}

fn number(case: &Table, key: &str) -> Option<u64> {
    let number = case.get(key)?.as_integer()?;
    u64::try_from(number).ok()
}

fn input(case: &Table) -> Vec<u8> {
    match text(case, "input") {
        Some(input) => input.as_bytes().to_vec(),
        None => text(case, "input_hex")
            .unwrap()
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect(),
    }
}

fn stream(case: &Table) -> AnswerStream {
    let usage = match text(case, "usage").unwrap() {
        "none" => UsageShape::None,
        "final" => UsageShape::Final,
        "continuous" => UsageShape::Continuous,
        other => panic!("no such usage: {other}"),
    };
    let shape = StreamShape {
        usage,
        model: text(case, "model").map(str::to_owned),
        calls: None,
        price: None,
    };
    let bound = number(case, "event_bytes_max").unwrap_or(1_000_000);
    AnswerStream::new(&shape, usize::try_from(bound).unwrap())
}

fn name_of(verdict: &Verdict) -> (&'static str, Option<&str>) {
    match verdict {
        Verdict::More => ("eof", None),
        Verdict::End(end) => match end {
            StreamEnd::Complete => ("complete", None),
            StreamEnd::Closed => ("closed", None),
            StreamEnd::Aborted => ("aborted", None),
            StreamEnd::ErrorEvent(json) => ("error_event", Some(json)),
            StreamEnd::NotUtf8 | StreamEnd::NotJson(_) => ("malformed", None),
            StreamEnd::TooLarge(_) => ("too_large", None),
        },
    }
}

fn check(case: &Table, chunks: &[&[u8]]) {
    let name = text(case, "name").unwrap();
    let mut stream = stream(case);
    let mut out = Vec::new();
    let mut verdict = Verdict::More;
    for chunk in chunks {
        verdict = stream.feed(chunk, &mut out);
    }
    assert_eq!(
        String::from_utf8(out).unwrap(),
        text(case, "output").unwrap(),
        "{name}"
    );
    let (end, detail) = name_of(&verdict);
    assert_eq!(end, text(case, "end").unwrap(), "{name}");
    if let Some(wanted) = text(case, "detail") {
        assert_eq!(detail, Some(wanted), "{name}");
    }
    let usage = stream.usage();
    let metered = [
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.cached_tokens,
    ];
    let wanted = ["prompt", "completion", "cached"].map(|key| number(case, key).unwrap_or(0));
    assert_eq!(metered, wanted, "{name}");
}

#[test]
fn every_case_holds_whole() {
    for case in cases() {
        check(&case, &[&input(&case)]);
    }
}

#[test]
fn every_case_holds_byte_by_byte() {
    for case in cases() {
        let input = input(&case);
        check(&case, &input.chunks(1).collect::<Vec<_>>());
    }
}

#[test]
fn every_case_holds_cut_anywhere() {
    for case in cases() {
        let input = input(&case);
        for at in 0..input.len() {
            check(&case, &[&input[..at], &input[at..]]);
        }
    }
}
