use proptest::prelude::*;

use super::*;

const PARIS: &str = r#"{"city": "Paris"}"#;
const SUM: &str = r#"{"a": 1, "b": [2, {"c": "}"}]}"#;
const NAMES: [&str; 2] = ["get_weather", "add"];

fn reader(calls_max: u32) -> CallReader {
    CallReader::new(NAMES.map(str::to_owned).to_vec(), calls_max)
}

/// What is told of `pieces`, with neighbours of one kind joined.
fn told(pieces: &[&str]) -> Vec<Told> {
    let mut reader = reader(8);
    let mut all = Vec::new();
    for piece in pieces {
        all.append(&mut reader.feed(piece));
    }
    all.append(&mut reader.finish());
    joined(all)
}

fn joined(all: Vec<Told>) -> Vec<Told> {
    let mut out: Vec<Told> = Vec::new();
    for one in all {
        match (out.last_mut(), one) {
            (Some(Told::Text(before)), Told::Text(more))
            | (Some(Told::Arguments(before)), Told::Arguments(more)) => before.push_str(&more),
            (_, other) => out.push(other),
        }
    }
    out
}

fn text(text: &str) -> Told {
    Told::Text(text.to_owned())
}

fn call(name: &str, arguments: &str) -> [Told; 2] {
    [
        Told::Begin(name.to_owned()),
        Told::Arguments(arguments.to_owned()),
    ]
}

#[test]
fn calls_of_every_common_format_are_read() {
    let one = call("get_weather", PARIS).to_vec();
    let two = [call("get_weather", PARIS), call("add", SUM)].concat();
    let cases: Vec<(&str, Vec<Told>)> = vec![
        // Hermes, Qwen
        (
            "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": $P}\n</tool_call>",
            one.clone(),
        ),
        (
            "<tool_call>{\"name\": \"get_weather\", \"arguments\": $P}</tool_call>\n\
             <tool_call>{\"name\": \"add\", \"arguments\": $S}</tool_call>\n",
            two.clone(),
        ),
        // the other order of keys, as Hermes was first trained
        (
            "<tool_call>{\"arguments\": $P, \"name\": \"get_weather\"}</tool_call>",
            one.clone(),
        ),
        // arguments written into a string
        (
            "<tool_call>{\"name\": \"get_weather\", \"arguments\": \
             \"{\\\"city\\\": \\\"Paris\\\"}\"}</tool_call>",
            one.clone(),
        ),
        // no arguments at all
        (
            "<tool_call>{\"name\": \"add\"}</tool_call>",
            call("add", "{}").to_vec(),
        ),
        // Llama 3, with and without its mark
        (
            "{\"name\": \"get_weather\", \"parameters\": $P}",
            one.clone(),
        ),
        (
            "<|python_tag|>{\"type\": \"function\", \"name\": \"get_weather\", \
             \"parameters\": $P}",
            one.clone(),
        ),
        (
            "{\"name\": \"get_weather\", \"parameters\": $P}; \
             {\"name\": \"add\", \"parameters\": $S}",
            two.clone(),
        ),
        // Mistral: a list, a list without its mark, and the form with names
        (
            "[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": $P}, \
             {\"name\": \"add\", \"arguments\": $S}]",
            two.clone(),
        ),
        (
            "[{\"name\": \"get_weather\", \"arguments\": $P}]",
            one.clone(),
        ),
        ("[TOOL_CALLS]get_weather$P[TOOL_CALLS]add[ARGS]$S", two),
        // members after the arguments
        (
            "<tool_call>{\"name\": \"get_weather\", \"arguments\": $P, \"id\": \"}\"}</tool_call>",
            one,
        ),
    ];
    for (input, wanted) in cases {
        let input = input.replace("$P", PARIS).replace("$S", SUM);
        assert_eq!(told(&[&input]), wanted, "{input}");
    }
}

#[test]
fn what_looks_like_a_call_and_is_none_is_text() {
    for input in [
        "Hello {\"name\": \"add\"}",
        "{\"name\": \"Ada\", \"age\": 36}",
        "{\"answer\": 42}",
        "{\"name\": \"add\"}",
        "[1, 2]",
        "[{\"a\": 1}]",
        "<tool_call>{\"name\": \"unknown\", \"arguments\": {}}</tool_call>",
        "<tool_call>add(1, 2)</tool_call>",
        "<tool_call>{\"name\": \"add\", \"arguments\": 3}</tool_call>",
        "<tool_call>{\"name\": \"add\", ",
        "<tool_cal",
        "<|python_tag|>brave_search.call(query=\"x\")",
        "[TOOL_CALLS]unknown{}",
        "  \n{}",
        "a < b and [TOOL",
    ] {
        assert_eq!(told(&[input]), [text(input)]);
    }
}

#[test]
fn text_stands_before_between_and_after_calls() {
    let input = "Let me see. <tool_call>{\"name\": \"add\", \"arguments\": {}}</tool_call>\nDone.";
    let wanted = [
        vec![text("Let me see. ")],
        call("add", "{}").to_vec(),
        vec![text("\nDone.")],
    ];
    assert_eq!(told(&[input]), wanted.concat());
}

#[test]
fn arguments_stream_before_the_call_has_ended() {
    let mut reader = reader(8);
    let told =
        reader.feed("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Pa");
    assert_eq!(joined(told), call("get_weather", "{\"city\": \"Pa"));
    assert_eq!(reader.feed("ris"), [Told::Arguments("ris".to_owned())]);
}

#[test]
fn calls_past_the_limit_are_dropped() {
    let mut reader = reader(1);
    let one = "<tool_call>{\"name\": \"add\", \"arguments\": {}}</tool_call>";
    let mut told = reader.feed(&format!("{one}\n{one}"));
    told.append(&mut reader.finish());
    assert_eq!(joined(told), call("add", "{}"));
    assert_eq!(reader.calls(), 1);
}

/// Texts that are rich in what calls are made of.
fn soup() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("<tool_call>".to_owned()),
        Just("</tool_call>".to_owned()),
        Just("[TOOL_CALLS]".to_owned()),
        Just("<|python_tag|>".to_owned()),
        Just("{\"name\": \"add\", \"arguments\": {\"a\": 1}}".to_owned()),
        Just(
            "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Zürich \\\" }\"}}".to_owned()
        ),
        Just("{\"arguments\": {}, \"name\": \"add\"}".to_owned()),
        Just("{\"name\": \"other\", \"arguments\": {}}".to_owned()),
        Just("add{\"a\": [1]}".to_owned()),
        "[\\[\\]{}\",:; \\n<>a1-]{0,6}",
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    /// However a text is cut, the same text and calls come out.
    #[test]
    fn cuts_change_nothing(input in soup(), cuts in prop::collection::vec(0usize..400, 0..12)) {
        let is_place = |at: &usize| input.is_char_boundary(*at) && *at < input.len();
        let mut places: Vec<usize> = cuts.into_iter().filter(is_place).collect();
        places.extend([0, input.len()]);
        places.sort_unstable();
        let pieces: Vec<&str> = places.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect();
        prop_assert_eq!(told(&pieces), told(&[&input]));
    }

    /// Every single cut of every text, one after the other.
    #[test]
    fn every_single_cut_changes_nothing(input in soup()) {
        let whole = told(&[&input]);
        for (at, _) in input.char_indices() {
            prop_assert_eq!(&told(&[&input[..at], &input[at..]]), &whole);
        }
    }
}
