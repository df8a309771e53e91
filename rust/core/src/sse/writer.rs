//! Events into bytes: the frames that go to our client.
//!
//! Knows the wire form alone; what is written is decided in `answer`.

use memchr::memchr_iter;

/// The frame that ends a clean stream.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// The frame that says "still here" while the engine is silent. A comment: clients skip it.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Writes one frame out of pieces, so that what is spliced into it needs no buffer of its own.
#[derive(Debug)]
pub struct Pieces<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Pieces<'a> {
    /// Begins a frame; an empty `name` writes no `event` field.
    pub fn begin(out: &'a mut Vec<u8>, name: &[u8]) -> Self {
        if !name.is_empty() {
            out.extend_from_slice(b"event: ");
            out.extend_from_slice(name);
            out.push(b'\n');
        }
        out.extend_from_slice(b"data: ");
        Self { out }
    }

    /// Adds to the data. A line feed inside it opens another `data` line.
    pub fn push(&mut self, piece: &[u8]) {
        let mut from = 0;
        for at in memchr_iter(b'\n', piece) {
            self.out.extend_from_slice(&piece[from..at]);
            self.out.extend_from_slice(b"\ndata: ");
            from = at + 1;
        }
        self.out.extend_from_slice(&piece[from..]);
    }

    /// Ends the frame.
    pub fn end(self) {
        self.out.extend_from_slice(b"\n\n");
    }
}
