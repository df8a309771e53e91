//! What the events of a request that somebody pays for add to its worker's counters: counted as
//! they are taken. Ends that are faults are counted by whoever answers for them.

use std::sync::Arc;

use memchr::memmem;
use tokenmill_core::counters::{Counter, Histogram};
use tokenmill_core::usage::Usage;

use super::error::EndReason;
use super::events::Item;
use crate::segment::Segment;

/// Where one relay's events are counted.
pub(super) struct Tally {
    pub segment: Arc<Segment>,
    pub worker: usize,
    pub is_stream: bool,
}

impl Tally {
    /// An event was taken; `usage`: the last one received by then.
    pub fn note(&self, item: &Item, usage: Usage) {
        match item {
            Item::Head(head) => self.note_begin(head.first_byte_ns),
            Item::Frames(frames) => {
                let count = memmem::find_iter(frames, b"\n\n").count();
                self.add(Counter::FRAMES, count as u64);
                self.note_part(frames);
            }
            Item::Whole(whole) => {
                self.note_begin(whole.first_byte_ns);
                if whole.status == 200 && !self.is_stream {
                    self.note_part(&whole.body);
                    self.note_completion(usage);
                }
            }
            Item::End(end) if end.reason == EndReason::Complete => self.note_completion(usage),
            Item::Lack(_) | Item::End(_) => {}
        }
    }

    /// The engine's last word on the tokens of the request, whatever became of its answer.
    pub fn note_usage(&self, usage: Usage) {
        if usage.seen {
            self.add(Counter::PROMPT_TOKENS, usage.prompt_tokens);
            self.add(Counter::COMPLETION_TOKENS, usage.completion_tokens);
            self.add(Counter::CACHED_TOKENS, usage.cached_tokens);
        }
    }

    fn note_begin(&self, first_byte_ns: u64) {
        if self.is_stream {
            self.add(Counter::STREAMS, 1);
        }
        // 0 where a comment came first.
        if first_byte_ns > 0 {
            let milliseconds = first_byte_ns / 1_000_000;
            self.segment
                .observe(self.worker, Histogram::FirstByteMs, milliseconds);
        }
    }

    fn note_part(&self, body: &[u8]) {
        self.add(Counter::WAKEUPS, 1);
        self.add(Counter::DOWNSTREAM_BYTES, body.len() as u64);
    }

    /// Without usage it was billed nothing.
    fn note_completion(&self, usage: Usage) {
        if !usage.seen {
            self.add(Counter::UNMETERED, 1);
        }
    }

    fn add(&self, counter: Counter, amount: u64) {
        if amount > 0 {
            self.segment.count(self.worker, counter, amount);
        }
    }
}
