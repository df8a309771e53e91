use serde_json::{Value, json};

use super::*;

fn shape() -> CallShape {
    CallShape {
        names: vec!["add".to_owned()],
        calls_max: 8,
        seed: "req_1".to_owned(),
    }
}

fn chunk(choice: &Value) -> Vec<u8> {
    json!({"id": "x", "object": "chat.completion.chunk", "choices": [choice], "usage": null})
        .to_string()
        .into_bytes()
}

/// The choices of the chunks that `choices` become, each sent in a chunk of its own.
fn streamed(choices: &[Value]) -> Vec<Value> {
    let mut rewriter = CallRewriter::new(shape());
    let chunks = choices
        .iter()
        .flat_map(|one| rewriter.chunk(&chunk(one)).unwrap());
    let read = chunks.map(|text| serde_json::from_slice::<Value>(&text).unwrap());
    read.map(|chunk| {
        assert_eq!((&chunk["id"], &chunk["usage"]), (&json!("x"), &Value::Null));
        chunk["choices"][0].clone()
    })
    .collect()
}

#[test]
fn a_call_streams_as_openai_streams_it() {
    let delta = |text: &str| json!({"index": 0, "delta": {"content": text}, "finish_reason": null});
    let first = json!({"index": 0, "delta": {"role": "assistant", "content": ""}});
    let last = json!({"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": null});
    let parts = [
        first,
        delta("<tool_c"),
        delta("all>\n{\"name\": \"add\", \"arguments\": {\"a\""),
        delta(": 1}}\n</tool_call>"),
        last,
    ];
    let out = streamed(&parts);
    let deltas: Vec<&Value> = out.iter().map(|choice| &choice["delta"]).collect();
    let id = deltas[1]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.starts_with("call_") && id.len() == 29, "{id}");
    let function = json!({"name": "add", "arguments": ""});
    let begun = json!([{"index": 0, "id": id, "type": "function", "function": function}]);
    let wanted = [
        json!({"role": "assistant", "content": ""}),
        json!({"tool_calls": begun}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\""}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
        json!({}),
    ];
    assert_eq!(deltas, wanted.iter().collect::<Vec<_>>());
    assert_eq!(out[4]["finish_reason"], "tool_calls");
    assert_eq!(out[4]["stop_reason"], Value::Null);
    assert!(
        out[..4]
            .iter()
            .all(|choice| choice["finish_reason"].is_null())
    );
}

#[test]
fn text_stays_text_and_what_was_held_back_comes_with_the_end() {
    let out = streamed(&[
        json!({"index": 0, "delta": {"content": "1 <"}}),
        json!({"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}),
    ]);
    assert_eq!(out[0]["delta"], json!({"content": "1 "}));
    assert_eq!(out[1]["delta"], json!({"content": "<"}));
    assert_eq!(out[1]["finish_reason"], "stop");
}

#[test]
fn a_cut_call_ends_by_its_length() {
    let text = "<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": ";
    let out =
        streamed(&[json!({"delta": {"content": text}, "index": 0, "finish_reason": "length"})]);
    assert_eq!(out.last().unwrap()["finish_reason"], "length");
    assert_eq!(out.len(), 2);
}

#[test]
fn choices_are_read_apart_and_keep_their_likelihoods() {
    let call = "<tool_call>{\"name\": \"add\", \"arguments\": {}}</tool_call>";
    let out = streamed(&[
        json!({"index": 1, "delta": {"content": "<tool_call>"}, "logprobs": {"content": [1]}}),
        json!({"index": 0, "delta": {"content": call}, "logprobs": null}),
    ]);
    assert_eq!(out[0]["logprobs"], json!({"content": [1]}));
    assert_eq!(out[0]["delta"], json!({"content": ""}));
    assert_eq!(
        (&out[1]["index"], &out[1]["logprobs"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(out[1]["delta"]["tool_calls"][0]["function"]["name"], "add");
}

#[test]
fn the_chunk_of_usage_and_other_objects_stay() {
    let mut rewriter = CallRewriter::new(shape());
    for text in [
        &br#"{"choices": [], "usage": {"x": 1}}"#[..],
        br#"{"a": 1}"#,
    ] {
        assert_eq!(rewriter.chunk(text).unwrap(), [text.to_vec()]);
    }
    assert!(rewriter.chunk(b"[]").is_err());
}

#[test]
fn a_whole_answer_holds_its_calls() {
    let call = "<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": \"\\u00fc\"}}</tool_call>";
    let message = json!({"role": "assistant", "content": call, "tool_calls": []});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let body = json!({"id": "x", "choices": [choice], "usage": {"total_tokens": 3}}).to_string();
    let out = rewrite_whole(body.as_bytes(), &shape()).unwrap().unwrap();
    let out: Value = serde_json::from_slice(&out).unwrap();
    let choice = &out["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    assert_eq!(choice["message"]["role"], "assistant");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["type"], "function");
    assert_eq!(
        call["function"],
        json!({"name": "add", "arguments": "{\"a\": \"\\u00fc\"}"})
    );
    assert_eq!(out["usage"], json!({"total_tokens": 3}));
}

#[test]
fn a_whole_answer_without_calls_keeps_its_text() {
    let message = json!({"role": "assistant", "content": "A \"quote\".\n", "refusal": null});
    let choice = json!({"index": 0, "message": message.clone(), "finish_reason": "stop"});
    let body = json!({"choices": [choice]}).to_string();
    let out = rewrite_whole(body.as_bytes(), &shape()).unwrap().unwrap();
    let out: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(out["choices"][0]["message"], message);
    assert_eq!(out["choices"][0]["finish_reason"], "stop");
}

#[test]
fn ids_differ_by_request_choice_and_call() {
    let ids = [
        call_id("a", 0, 0),
        call_id("b", 0, 0),
        call_id("a", 1, 0),
        call_id("a", 0, 1),
    ];
    for (at, id) in ids.iter().enumerate() {
        assert!(!ids[..at].contains(id));
    }
}
