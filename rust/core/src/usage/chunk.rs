//! What matters in one answer object: model, usage, choices, error, and where they stand.
//!
//! One pass; the value is kept and read into again, so that a stream allocates nothing per chunk.
//! A key that comes twice counts as JSON readers count it: the last one wins.

use super::scan::{Key, ScanError, Scanner, Span};

/// Choices one answer may have. vLLM's own bound on `n` is lower wherever it has one.
pub const CHOICES_MAX: u32 = 1024;

/// A member of the answer object, with what is needed to take it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The quote that opens the key.
    pub from: usize,
    /// The value.
    pub value: Span,
    /// Where the member before it ends; `None` when none that stays comes before.
    pub kept_to: Option<usize>,
    /// Where the member after it begins, else where the object's last byte stands.
    pub next: usize,
}

/// A choice's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// The value of `finish_reason`.
    pub value: Span,
    /// The engine gave up.
    pub is_abort: bool,
}

/// One entry of `choices`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Its `index`, 0 when it has none.
    pub index: u32,
    /// Its `finish_reason`, when that is not null.
    pub finish: Option<Finish>,
}

/// The numbers of one `usage` object, as far as they are whole and there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// `prompt_tokens`.
    pub prompt: Option<u64>,
    /// `completion_tokens`.
    pub completion: Option<u64>,
    /// `prompt_tokens_details.cached_tokens`, or `cached_tokens` itself.
    pub cached: Option<u64>,
}

/// What the value at a place may be exchanged for, with nothing else in the chunk changing but
/// this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Any string: nothing looks at it.
    Text,
    /// The index of an entry of `choices`.
    Index(usize),
    /// [`Counts::prompt`].
    Prompt,
    /// [`Counts::completion`].
    Completion,
    /// [`Counts::cached`].
    Cached,
    /// Any count: nothing looks at it.
    Other,
}

/// A value that differs from chunk to chunk of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub value: Span,
    pub what: What,
}

/// More of them are not noted: reading over them would not be quicker.
const PLACES_MAX: usize = 16;

/// What one answer object says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Every value of a top-level `model`.
    pub models: Vec<Span>,
    /// Every top-level `usage`.
    pub usages: Vec<Member>,
    /// The numbers of the last `usage`, when it is an object.
    pub counts: Option<Counts>,
    /// The entries of the last `choices`.
    pub choices: Vec<Choice>,
    /// Whether there is a `choices` array.
    pub has_choices: bool,
    /// The last `error`, when it is not null.
    pub error: Option<Span>,
    /// Whether the object has any member.
    pub has_members: bool,
    /// The closing brace.
    pub close: usize,
    /// For `Template`; one more than there may be means too many.
    pub(super) places: Vec<Place>,
}

impl Chunk {
    /// Reads `text` into this value in place of what was in it.
    ///
    /// Cost: one pass; memory: as many entries as `text` has choices, models and usages.
    ///
    /// # Errors
    /// [`ScanError`] when `text` is not one JSON object.
    pub fn read(&mut self, text: &[u8]) -> Result<(), ScanError> {
        self.clear();
        let mut scanner = Scanner::new(text);
        if scanner.peek() != Some(b'{') {
            scanner.value()?;
            scanner.end()?;
            return Err(ScanError::NotAnObject);
        }
        let mut kept_to = None;
        scanner.object(|scanner, key| self.member(scanner, text, key, &mut kept_to))?;
        self.close = scanner.at() - 1;
        self.close_last_usage();
        scanner.end()
    }

    /// Whether this is the chunk that closes a stream's usage: counts and an empty `choices`.
    pub fn is_final_usage(&self) -> bool {
        self.counts.is_some() && self.has_choices && self.choices.is_empty()
    }

    fn clear(&mut self) {
        self.models.clear();
        self.usages.clear();
        self.choices.clear();
        self.counts = None;
        self.has_choices = false;
        self.error = None;
        self.has_members = false;
        self.close = 0;
        self.places.clear();
    }

    /// Whether the next chunk of its stream may be like it: no end is in sight.
    pub(super) fn is_like_others(&self) -> bool {
        let is_running = |choice: &Choice| choice.finish.is_none();
        self.error.is_none()
            && self.usages.len() <= 1 // else the counts of one may be those of another
            && self.places.len() <= PLACES_MAX
            && self.choices.iter().all(is_running)
    }

    /// Says what a chunk that is like others says, each byte having moved as `to` tells.
    pub(super) fn copy_moved(&mut self, other: &Self, to: impl Fn(usize) -> usize) {
        let span = |span: Span| Span {
            from: to(span.from),
            to: to(span.to),
        };
        self.models.clear();
        self.models.extend(other.models.iter().copied().map(span));
        self.usages.clear();
        self.usages.extend(other.usages.iter().map(|usage| Member {
            from: to(usage.from),
            value: span(usage.value),
            kept_to: usage.kept_to.map(&to),
            next: to(usage.next),
        }));
        self.choices.clone_from(&other.choices);
        self.counts = other.counts;
        self.has_choices = other.has_choices;
        self.error = None;
        self.has_members = other.has_members;
        self.close = to(other.close);
    }

    fn note(&mut self, value: Span, what: What) {
        if self.places.len() <= PLACES_MAX {
            self.places.push(Place { value, what });
        }
    }

    fn member(
        &mut self,
        scanner: &mut Scanner<'_>,
        text: &[u8],
        key: Key,
        kept_to: &mut Option<usize>,
    ) -> Result<(), ScanError> {
        self.has_members = true;
        let from = key.span.from - 1;
        self.meet_next(from);
        if key.spells(text, b"usage") {
            let next = scanner.peek();
            let value_from = scanner.at();
            self.counts = if next == Some(b'{') {
                Some(self.read_counts(scanner, text)?)
            } else {
                scanner.value()?;
                None
            };
            let value = Span {
                from: value_from,
                to: scanner.at(),
            };
            self.usages.push(Member {
                from,
                value,
                kept_to: *kept_to,
                next: 0,
            });
            return Ok(());
        }
        if key.spells(text, b"choices") {
            self.choices.clear();
            let is_of_choice = |what| matches!(what, What::Text | What::Index(_));
            self.places.retain(|place| !is_of_choice(place.what));
            self.has_choices = scanner.peek() == Some(b'[');
            if self.has_choices {
                scanner.array(|scanner| self.choice(scanner, text))?;
            } else {
                scanner.value()?;
            }
        } else {
            let value = scanner.value()?;
            if key.spells(text, b"model") {
                self.models.push(value);
            } else if key.spells(text, b"error") {
                self.error = (value.of(text) != b"null").then_some(value);
            }
        }
        *kept_to = Some(scanner.at());
        Ok(())
    }

    /// The member before, if it was a `usage`, learns where the next one begins.
    fn meet_next(&mut self, from: usize) {
        if let Some(last) = self.usages.last_mut()
            && last.next == 0
        {
            last.next = from;
        }
    }

    fn close_last_usage(&mut self) {
        self.meet_next(self.close);
    }

    fn choice(&mut self, scanner: &mut Scanner<'_>, text: &[u8]) -> Result<(), ScanError> {
        let mut choice = Choice {
            index: 0,
            finish: None,
        };
        let mut index_at = None;
        if scanner.peek() == Some(b'{') {
            scanner.object(|scanner, key| {
                if key.spells(text, b"index") {
                    let value = scanner.value()?;
                    index_at = Some(value);
                    choice.index = match whole_number(value.of(text)) {
                        Some(index) if index < u64::from(CHOICES_MAX) => {
                            u32::try_from(index).unwrap_or(CHOICES_MAX)
                        }
                        _ => return Err(ScanError::TooManyChoices),
                    };
                } else if key.spells(text, b"finish_reason") {
                    let value = scanner.value()?;
                    choice.finish = (value.of(text) != b"null").then_some(Finish {
                        value,
                        is_abort: value.of(text) == b"\"abort\"",
                    });
                } else {
                    self.read_over(scanner)?;
                }
                Ok(())
            })?;
        } else {
            scanner.value()?;
        }
        if let Some(value) = index_at {
            self.note(value, What::Index(self.choices.len()));
        }
        self.choices.push(choice);
        Ok(())
    }

    /// Reads over a value of a choice that nothing looks at.
    fn read_over(&mut self, scanner: &mut Scanner<'_>) -> Result<(), ScanError> {
        match scanner.peek() {
            Some(b'{') => scanner.object(|scanner, _| self.read_over(scanner)),
            Some(b'[') => scanner.array(|scanner| self.read_over(scanner)),
            next => {
                let value = scanner.value()?;
                if next == Some(b'"') {
                    self.note(value, What::Text);
                }
                Ok(())
            }
        }
    }

    fn read_counts(&mut self, scanner: &mut Scanner<'_>, text: &[u8]) -> Result<Counts, ScanError> {
        let [mut prompt, mut completion, mut cached, mut detailed] = [None; 4];
        scanner.object(|scanner, key| {
            if key.spells(text, b"prompt_tokens_details") && scanner.peek() == Some(b'{') {
                return scanner.object(|scanner, key| {
                    let value = scanner.value()?;
                    if key.spells(text, b"cached_tokens") {
                        detailed = count_at(value, text);
                    }
                    Ok(())
                });
            }
            let value = scanner.value()?;
            if key.spells(text, b"prompt_tokens") {
                prompt = count_at(value, text);
            } else if key.spells(text, b"completion_tokens") {
                completion = count_at(value, text);
            } else if key.spells(text, b"cached_tokens") {
                cached = count_at(value, text);
            } else if count_at(value, text).is_some() {
                self.note(value, What::Other);
            }
            Ok(())
        })?;
        // Of counts that are there twice, only the one that counts is a place.
        let mut counted = |count: Option<(u64, Span)>, what| {
            count.map(|(number, value)| {
                self.note(value, what);
                number
            })
        };
        Ok(Counts {
            prompt: counted(prompt, What::Prompt),
            completion: counted(completion, What::Completion),
            cached: counted(detailed.or(cached), What::Cached),
        })
    }
}

/// The number of a count, and where it stands.
fn count_at(value: Span, text: &[u8]) -> Option<(u64, Span)> {
    whole_number(value.of(text)).map(|number| (number, value))
}

/// A count: digits alone; anything else is no count.
fn whole_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
