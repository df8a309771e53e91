//! The last chunk that was read, as a template for the next one.
//!
//! The chunks of a stream differ in the text of their choices and in a few counts. One that is
//! like the template everywhere else is JSON for the same reason and says the same at the same
//! places, so its other bytes are compared and not parsed. Whatever does not fit is read as if
//! nothing had come before it.

use super::chunk::{CHOICES_MAX, Chunk, What};
use super::scan::{Scanner, Span};

/// A longer chunk makes no template: it would be kept for the rest of its stream.
const TEXT_BYTES_MAX: usize = 4096;

/// After so many chunks in a row that did not fit only some make a template: this stream's differ
/// in more than texts and counts.
const MISSES_MAX: u8 = 16;
const LATER_EVERY: u8 = 64;

/// A place of the template as the chunk has it.
#[derive(Debug, Clone, Copy)]
struct Found {
    value: Span,
    /// Of a count.
    number: u64,
}

/// What the chunks of one stream are like. Memory: one chunk of at most 4 KiB.
#[derive(Debug, Default)]
pub struct Template {
    /// Empty: there is none yet.
    text: Vec<u8>,
    said: Chunk,
    found: Vec<Found>,
    misses: u8,
}

impl Template {
    /// Whether `text` is like the template, and therefore UTF-8 and JSON; `chunk` is then what
    /// [`Chunk::read`] would make of it.
    ///
    /// Cost: one comparison as far as the two are alike.
    pub fn fits(&mut self, text: &[u8], chunk: &mut Chunk) -> bool {
        let fits = !self.text.is_empty() && self.find(text).is_some();
        if fits {
            self.misses = 0;
            self.tell(chunk);
        }
        fits
    }

    /// Makes `text`, which is UTF-8 and was read into `chunk`, the template, if others may be like
    /// it.
    pub fn learn(&mut self, text: &[u8], chunk: &Chunk) {
        if !chunk.is_like_others() || text.len() > TEXT_BYTES_MAX {
            return;
        }
        self.misses = self.misses.wrapping_add(1).max(1);
        if self.misses > MISSES_MAX && !self.misses.is_multiple_of(LATER_EVERY) {
            return;
        }
        self.text.clear();
        self.text.extend_from_slice(text);
        self.said.clone_from(chunk);
        self.said
            .places
            .sort_unstable_by_key(|place| place.value.from);
    }

    /// Something if `text` is the template but for its places; `found` says where those are then.
    fn find(&mut self, text: &[u8]) -> Option<()> {
        self.found.clear();
        let (mut at, mut from) = (0, 0);
        for place in &self.said.places {
            let same = &self.text[from..place.value.from];
            if !text[at..].starts_with(same) {
                return None;
            }
            let found = found_at(text, at + same.len(), place.what)?;
            self.found.push(found);
            (at, from) = (found.value.to, place.value.to);
        }
        (text[at..] == self.text[from..]).then_some(())
    }

    /// What the template says, at the places found.
    fn tell(&self, chunk: &mut Chunk) {
        chunk.copy_moved(&self.said, |at| self.moved(at));
        for (place, found) in self.said.places.iter().zip(&self.found) {
            let number = Some(found.number);
            match (place.what, &mut chunk.counts) {
                (What::Index(choice), _) => {
                    chunk.choices[choice].index =
                        u32::try_from(found.number).unwrap_or(CHOICES_MAX);
                }
                (What::Prompt, Some(counts)) => counts.prompt = number,
                (What::Completion, Some(counts)) => counts.completion = number,
                (What::Cached, Some(counts)) => counts.cached = number,
                _ => {}
            }
        }
    }

    /// Where a byte of the template that is inside no place stands in the chunk.
    fn moved(&self, at: usize) -> usize {
        let places = self.said.places.iter().zip(&self.found);
        let before = places.rev().find(|(place, _)| place.value.to <= at);
        before.map_or(at, |(place, found)| at - place.value.to + found.value.to)
    }
}

/// What stands at `from`, if it may stand in such a place.
fn found_at(text: &[u8], from: usize, what: What) -> Option<Found> {
    if what == What::Text {
        if text.get(from) != Some(&b'"') {
            return None; // nor white space: the template has none there
        }
        let mut scanner = Scanner::new(text);
        scanner.skip_to(from);
        let value = scanner.value().ok()?;
        std::str::from_utf8(value.of(text)).ok()?;
        return Some(Found { value, number: 0 });
    }
    let (number, length) = count_from(text.get(from..)?)?;
    let is_over = matches!(what, What::Index(_)) && number >= u64::from(CHOICES_MAX);
    let to = from + length;
    let value = Span { from, to };
    (!is_over).then_some(Found { value, number })
}

/// The number that `text` begins with, and its length. What follows it is for the caller to judge:
/// it may go on as a fraction.
fn count_from(text: &[u8]) -> Option<(u64, usize)> {
    let mut number: u64 = 0;
    let mut length = 0;
    while let Some(digit @ b'0'..=b'9') = text.get(length) {
        number = number
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
        length += 1;
    }
    let has_leading_zero = length > 1 && text[0] == b'0';
    (length > 0 && !has_leading_zero).then_some((number, length))
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
