//! What a chunk costs in the core alone: framing, and framing with metering and stripping.
//!
//! The chunks are as vLLM 0.32 writes them with continuous usage; `burst` feeds 200 of them as one
//! read of the socket would bring them, `paced` one at a time.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tokenmill_core::sse::{AnswerStream, Framer, StreamShape, UsageShape};

const CHUNK_COUNT: usize = 200;
const EVENT_BYTES_MAX: usize = 1 << 20;

fn chunk(made: usize) -> String {
    let finish = if made == CHUNK_COUNT {
        "\"stop\""
    } else {
        "null"
    };
    let total = made + 17;
    format!(
        "data: {{\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\
         \"object\":\"chat.completion.chunk\",\"created\":1763770000,\
         \"model\":\"meta-llama/Llama-3.1-8B-Instruct\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" token\"}},\"logprobs\":null,\
         \"finish_reason\":{finish},\"token_ids\":null}}],\
         \"usage\":{{\"prompt_tokens\":17,\"total_tokens\":{total},\"completion_tokens\":{made}}}}}\
         \n\n"
    )
}

fn frame(chunks: &[&[u8]]) -> usize {
    let mut framer = Framer::new(EVENT_BYTES_MAX);
    let mut events = 0;
    for chunk in chunks {
        let mut rest = *chunk;
        while let Ok(Some(event)) = framer.next_event(&mut rest) {
            events += event.data.len();
        }
    }
    events
}

fn answer(chunks: &[&[u8]], shape: &StreamShape, out: &mut Vec<u8>) {
    let mut stream = AnswerStream::new(shape, EVENT_BYTES_MAX);
    out.clear();
    for chunk in chunks {
        stream.feed(chunk, out);
    }
}

fn bench(criterion: &mut Criterion) {
    let texts: Vec<String> = (1..=CHUNK_COUNT).map(chunk).collect();
    let joined = texts.concat();
    let burst = [joined.as_bytes()];
    let paced: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let as_sent = StreamShape {
        usage: UsageShape::Continuous,
        model: None,
        calls: None,
        price: None,
    };
    let stripped = StreamShape {
        usage: UsageShape::None,
        model: Some("mine".to_owned()),
        calls: None,
        price: None,
    };
    let mut out = Vec::with_capacity(joined.len() * 2);
    let mut group = criterion.benchmark_group("chunks");
    group.throughput(Throughput::Bytes(joined.len() as u64));
    group.bench_function("framed, burst", |run| run.iter(|| frame(black_box(&burst))));
    group.bench_function("framed, paced", |run| run.iter(|| frame(black_box(&paced))));
    group.bench_function("metered, burst", |run| {
        run.iter(|| answer(black_box(&burst), &as_sent, &mut out));
    });
    group.bench_function("metered, stripped and renamed, burst", |run| {
        run.iter(|| answer(black_box(&burst), &stripped, &mut out));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
