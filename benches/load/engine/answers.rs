//! The bytes of vLLM 0.32: heads as uvicorn writes them, one HTTP chunk an event.

use std::fmt::Write;

pub const MODEL: &str = "bench-model";
const PROMPT_TOKENS: u64 = 17;
const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ndate: Sat, 28 Nov 2026 12:00:00 GMT\r\n\
    server: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    transfer-encoding: chunked\r\n\r\n";

/// Which stream is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamKind {
    pub tokens: u64,
    pub has_usage: bool,
    pub is_continuous: bool,
}

impl StreamKind {
    /// Writes of the stream: the role, each token, the end.
    pub fn pieces(&self) -> u64 {
        self.tokens + 2
    }
}

/// The answer to a chat completion that is not streamed.
pub fn whole() -> Vec<u8> {
    let text = "Machine learning is a way to make computers better at a task by showing them \
            examples instead of rules. A model has numbers that are changed a little after each \
            example, until what it says is close to what is wanted.";
    let body = format!(
        "{{\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"object\":\"chat.completion\",\
             \"created\":1763770000,\"model\":\"{MODEL}\",\"choices\":[{{\"index\":0,\"message\":\
             {{\"role\":\"assistant\",\"content\":\"{text}\",\"refusal\":null,\"annotations\":null,\
             \"audio\":null,\"function_call\":null,\"tool_calls\":[],\"reasoning\":null}},\
             \"logprobs\":null,\"finish_reason\":\"stop\",\"stop_reason\":null,\"token_ids\":null}}\
             ],\"service_tier\":null,\"system_fingerprint\":null,\"usage\":{{\"prompt_tokens\":\
             {PROMPT_TOKENS},\"total_tokens\":61,\"completion_tokens\":44,\
             \"prompt_tokens_details\":null}},\"prompt_logprobs\":null,\"prompt_token_ids\":null,\
             \"kv_transfer_params\":null}}"
    );
    framed("200 OK", &body)
}

/// The answer to any other path.
pub fn about(path: &str) -> Vec<u8> {
    let path = path.split('?').next().unwrap_or_default();
    match path {
        "/health" | "/ping" => framed("200 OK", ""),
        "/version" => framed("200 OK", "{\"version\":\"0.32.0\"}"),
        "/v1/models" => framed("200 OK", &models()),
        "/get_server_info" | "/server_info" | "/get_model_info" | "/model_info" => {
            framed("200 OK", &server_info())
        }
        // What a GET of it is answered: a look at what this engine does.
        "/v1/chat/completions" => framed(
            "405 Method Not Allowed",
            "{\"detail\":\"Method Not Allowed\"}",
        ),
        _ => framed("404 Not Found", "{\"detail\":\"Not Found\"}"),
    }
}

/// One write of a stream; the first has the head.
pub fn piece(kind: StreamKind, piece: u64) -> Vec<u8> {
    let mut out = String::new();
    if piece == 0 {
        out.push_str(STREAM_HEAD);
        let delta = "{\"role\":\"assistant\",\"content\":\"\"}";
        chunk(&mut out, kind, 0, delta, "null");
    } else if piece <= kind.tokens {
        let delta = format!("{{\"content\":\" token{}\"}}", piece % 1000);
        chunk(&mut out, kind, piece, &delta, "null");
    } else {
        chunk(
            &mut out,
            kind,
            kind.tokens,
            "{\"content\":\"\"}",
            "\"stop\"",
        );
        if kind.has_usage {
            let usage = usage(kind.tokens);
            event(&mut out, &format!("{}\"choices\":[],{usage}}}", opening()));
        }
        event(&mut out, "[DONE]");
        out.push_str("0\r\n\r\n");
    }
    out.into_bytes()
}

/// All of a stream.
pub fn stream(kind: StreamKind) -> Vec<Vec<u8>> {
    (0..kind.pieces())
        .map(|number| piece(kind, number))
        .collect()
}

fn framed(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ndate: Sat, 28 Nov 2026 12:00:00 GMT\r\nserver: uvicorn\r\n\
         content-length: {}\r\ncontent-type: application/json\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn opening() -> String {
    format!(
        "{{\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\
         \"object\":\"chat.completion.chunk\",\"created\":1763770000,\"model\":\"{MODEL}\","
    )
}

fn usage(made: u64) -> String {
    format!(
        "\"usage\":{{\"prompt_tokens\":{PROMPT_TOKENS},\"total_tokens\":{},\
         \"completion_tokens\":{made}}}",
        PROMPT_TOKENS + made
    )
}

fn chunk(out: &mut String, kind: StreamKind, made: u64, delta: &str, finish: &str) {
    let mut data = opening();
    // A String takes all that is written to it.
    let _ = write!(
        data,
        "\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\
         \"finish_reason\":{finish},\"token_ids\":null}}]"
    );
    if kind.is_continuous {
        data.push(',');
        data.push_str(&usage(made));
    }
    data.push('}');
    event(out, &data);
}

/// One event as one HTTP chunk.
fn event(out: &mut String, data: &str) {
    // A String takes all that is written to it.
    let _ = write!(out, "{:x}\r\ndata: {data}\n\n\r\n", data.len() + 8);
}

fn models() -> String {
    format!(
        "{{\"object\":\"list\",\"data\":[{{\"id\":\"{MODEL}\",\"object\":\"model\",\
         \"created\":1763770000,\"owned_by\":\"vllm\",\"root\":\"{MODEL}\",\"parent\":null,\
         \"max_model_len\":1048576,\"permission\":[]}}]}}"
    )
}

fn server_info() -> String {
    format!(
        "{{\"model_path\":\"{MODEL}\",\"served_model_name\":\"{MODEL}\",\"model_id\":\"{MODEL}\",\
         \"is_generation\":true,\"version\":\"0.32.0\",\"dp_size\":1,\"tp_size\":1}}"
    )
}
