//! Law: however a stream is cut, its frames, its end and its usage are the same; a clean end has
//! `[DONE]` last; after an end nothing comes out.

use tokenmill_core::sse::{AnswerStream, StreamEnd, StreamShape, UsageShape, Verdict};
use tokenmill_core::usage::Usage;

const EVENT_BYTES_MAX: usize = 4_096;

/// The first byte chooses the shape, the second the size of the pieces; the rest is the stream.
pub fn run(input: &[u8]) {
    let [shape, piece, stream @ ..] = input else {
        return;
    };
    let shape = shape_of(*shape);
    let whole = relay(&shape, stream, stream.len().max(1));
    let pieces = relay(&shape, stream, usize::from(*piece).max(1));
    assert_eq!(whole, pieces, "the cuts are seen");
    let (frames, end, _) = whole;
    if end == StreamEnd::Complete {
        assert!(
            frames.ends_with(b"data: [DONE]\n\n"),
            "a clean end without it"
        );
    } else {
        let has_done = frames.windows(14).any(|part| part == b"data: [DONE]\n\n");
        assert!(!has_done, "it looks clean and is not");
    }
}

fn shape_of(byte: u8) -> StreamShape {
    StreamShape {
        usage: [UsageShape::None, UsageShape::Final, UsageShape::Continuous][usize::from(byte % 3)],
        model: (byte & 4 != 0).then(|| "renamed \"model\"".to_owned()),
        ..StreamShape::default()
    }
}

fn relay(shape: &StreamShape, stream: &[u8], piece: usize) -> (Vec<u8>, StreamEnd, Usage) {
    let mut answer = AnswerStream::new(shape, EVENT_BYTES_MAX);
    let mut frames = Vec::new();
    let mut end = None;
    for part in stream.chunks(piece) {
        let before = frames.len();
        match answer.feed(part, &mut frames) {
            Verdict::More => assert!(end.is_none(), "an end that was taken back"),
            Verdict::End(found) => {
                if let Some(first) = &end {
                    assert_eq!((first, before), (&found, frames.len()), "after the end");
                }
                end = Some(found);
            }
        }
    }
    let end = end.unwrap_or_else(|| answer.finish());
    (frames, end, answer.usage())
}
