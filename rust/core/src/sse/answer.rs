//! The rules of one streamed answer: what is metered, changed, dropped, withheld and when it ends.
//!
//! Bytes of the engine go in, frames for the client come out. An end is clean only when it is
//! proven: every choice that was seen has finished and `[DONE]` came. Called by the forwarder.

use super::framer::{Event, FrameError, Framer};
use super::writer::{DONE, Pieces};
use crate::calls::{CallRewriter, CallShape};
use crate::usage::{Chunk, Meter, ScanError, Splice, Template, Usage, quote};
use crate::wallet::Price;

/// Which usage the client asked for; the engine is always asked for all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UsageShape {
    /// No usage chunk and no `usage` member.
    #[default]
    None,
    /// The usage chunk, and `"usage":null` on all others.
    Final,
    /// As the engine sends it.
    Continuous,
}

/// What the client is to see.
#[derive(Debug, Clone, Default)]
pub struct StreamShape {
    /// The usage it asked for.
    pub usage: UsageShape,
    /// The name it knows the model by; `None` leaves the engine's.
    pub model: Option<String>,
    /// What calls its text may hold; `None` leaves the text as it is.
    pub calls: Option<CallShape>,
    /// What tokens cost, to be told with the final usage; `None` tells nothing.
    pub price: Option<Price>,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEnd {
    /// Clean: the last frame is `[DONE]`.
    Complete,
    /// `[DONE]` or the end of the bytes came before every choice had finished, or no `[DONE]` came.
    Closed,
    /// A choice finished with `abort`: the engine gave up.
    Aborted,
    /// The engine sent an error; its JSON.
    ErrorEvent(String),
    /// An event whose data is not UTF-8.
    NotUtf8,
    /// An event whose data is not a JSON object.
    NotJson(ScanError),
    /// An event over the bound.
    TooLarge(FrameError),
}

/// What the caller does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Feed on.
    More,
    /// Nothing more comes out of this stream.
    End(StreamEnd),
}

/// One stream on its way from the engine to the client.
#[derive(Debug)]
pub struct AnswerStream {
    framer: Framer,
    rules: Rules,
}

/// Everything but the framer, so that an event may borrow from that while this changes.
#[derive(Debug)]
struct Rules {
    usage_shape: UsageShape,
    /// A JSON string literal.
    model: Option<Vec<u8>>,
    price: Option<Price>,
    meter: Meter,
    template: Template,
    chunk: Chunk,
    calls: Option<CallRewriter>,
    splice: Splice,
    /// By index: whether the choice has finished.
    finished: Vec<Option<bool>>,
    /// The frame with the final usage: it goes out when the end is proven, and the last one wins.
    final_usage: Vec<u8>,
    sent_tokens: bool,
    end: Option<StreamEnd>,
}

impl AnswerStream {
    /// A stream at its start; no event may hold more than `event_bytes_max` bytes.
    pub fn new(shape: &StreamShape, event_bytes_max: usize) -> Self {
        Self {
            framer: Framer::new(event_bytes_max),
            rules: Rules {
                usage_shape: shape.usage,
                model: shape.model.as_deref().map(quote),
                price: shape.price,
                meter: Meter::default(),
                template: Template::default(),
                chunk: Chunk::default(),
                calls: shape.calls.clone().map(CallRewriter::new),
                splice: Splice::default(),
                finished: Vec::new(),
                final_usage: Vec::new(),
                sent_tokens: false,
                end: None,
            },
        }
    }

    /// Takes bytes off the wire, cut anywhere, and appends to `out` the frames they complete.
    ///
    /// After an end it repeats that and appends nothing. Cost: O(bytes).
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Verdict {
        let mut rest = bytes;
        while self.rules.end.is_none() {
            match self.framer.next_event(&mut rest) {
                Ok(Some(event)) => self.rules.take(event, out),
                Ok(None) => return Verdict::More,
                Err(error) => self.rules.end = Some(StreamEnd::TooLarge(error)),
            }
        }
        Verdict::End(self.rules.end.clone().unwrap_or(StreamEnd::Closed))
    }

    /// The bytes are over: what the stream came to.
    pub fn finish(&mut self) -> StreamEnd {
        self.rules.end.get_or_insert(StreamEnd::Closed).clone()
    }

    /// The last usage received so far.
    pub fn usage(&self) -> Usage {
        self.rules.meter.usage()
    }

    /// Whether anything that the engine generated came out: a retry would pay twice.
    pub fn sent_tokens(&self) -> bool {
        self.rules.sent_tokens
    }
}

impl Rules {
    fn take(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        let is_alike = event.name.is_empty() && self.template.fits(event.data, &mut self.chunk);
        if !is_alike && !self.read(event, out) {
            return;
        }
        if let Some(counts) = &self.chunk.counts {
            self.meter.take(counts, &self.chunk.choices);
        }
        if self.chunk.error.is_some() {
            let text = String::from_utf8_lossy(event.data);
            self.end = Some(StreamEnd::ErrorEvent(text.into_owned()));
            return;
        }
        if self.calls.is_some() {
            self.take_rewritten(event, out);
        } else {
            self.take_chunk(event, out);
        }
    }

    /// Reads what is not like the chunks before it; whether it is a chunk.
    fn read(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> bool {
        let Ok(text) = std::str::from_utf8(event.data) else {
            self.end = Some(StreamEnd::NotUtf8);
            return false;
        };
        if text.trim_ascii() == "[DONE]" {
            self.take_done(out);
            return false;
        }
        if event.name == b"error" {
            self.end = Some(StreamEnd::ErrorEvent(text.to_owned()));
            return false;
        }
        if let Err(error) = self.chunk.read(event.data) {
            self.end = Some(StreamEnd::NotJson(error));
            return false;
        }
        self.template.learn(event.data, &self.chunk);
        true
    }

    /// Takes what the calls in a chunk's text make of it: none, one or several chunks.
    fn take_rewritten(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        // Held back or not: the engine has made it.
        self.sent_tokens |= !self.chunk.choices.is_empty();
        let rewritten = self.calls.as_mut().map(|calls| calls.chunk(event.data));
        let chunks = match rewritten {
            Some(Ok(chunks)) => chunks,
            Some(Err(error)) => {
                self.end = Some(StreamEnd::NotJson(error));
                return;
            }
            None => return,
        };
        for data in &chunks {
            if let Err(error) = self.chunk.read(data) {
                self.end = Some(StreamEnd::NotJson(error));
            }
            if self.end.is_some() {
                return;
            }
            let name = event.name;
            self.take_chunk(Event { name, data }, out);
        }
    }

    fn take_done(&mut self, out: &mut Vec<u8>) {
        let seen = || self.finished.iter().flatten();
        if seen().next().is_none() || seen().any(|finished| !finished) {
            self.end = Some(StreamEnd::Closed);
            return;
        }
        out.append(&mut self.final_usage);
        out.extend_from_slice(DONE);
        self.end = Some(StreamEnd::Complete);
    }

    fn take_chunk(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        self.splice.clear();
        if !self.note_choices() {
            return;
        }
        if self.chunk.is_final_usage() {
            if self.usage_shape == UsageShape::None {
                return;
            }
            if let Some(price) = self.price {
                let cost = price.cost(self.meter.usage().into());
                self.splice.add_cost(&self.chunk, event.data, cost);
            }
            self.final_usage.clear();
            let mut held = std::mem::take(&mut self.final_usage);
            self.write(event, &mut held);
            self.final_usage = held;
            return;
        }
        match self.usage_shape {
            UsageShape::None => self.splice.remove_usage(&self.chunk),
            UsageShape::Final => self.splice.null_usage(&self.chunk),
            UsageShape::Continuous => {}
        }
        self.sent_tokens |= !self.chunk.choices.is_empty();
        self.write(event, out);
    }

    /// Keeps account of who has finished; whether the chunk is to go on to the client.
    ///
    /// A choice finishes once: a second `finish_reason` is made null, and a chunk that holds
    /// nothing else is dropped.
    fn note_choices(&mut self) -> bool {
        let mut repeated = 0;
        for choice in &self.chunk.choices {
            let index = choice.index as usize;
            if self.finished.len() <= index {
                self.finished.resize(index + 1, None);
            }
            let finished = &mut self.finished[index];
            match choice.finish {
                Some(finish) if finish.is_abort => {
                    self.end = Some(StreamEnd::Aborted);
                    return false;
                }
                Some(finish) if *finished == Some(true) => {
                    self.splice.null_value(finish.value);
                    repeated += 1;
                }
                Some(_) => *finished = Some(true),
                None => *finished = Some(finished.unwrap_or(false)),
            }
        }
        repeated == 0 || repeated < self.chunk.choices.len()
    }

    fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        let mut frame = Pieces::begin(out, event.name);
        if let Some(model) = &self.model {
            self.splice.rename_model(&self.chunk);
            self.splice
                .write(event.data, model, |piece| frame.push(piece));
        } else if self.splice.is_empty() {
            frame.push(event.data);
        } else {
            self.splice
                .write(event.data, b"", |piece| frame.push(piece));
        }
        frame.end();
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
