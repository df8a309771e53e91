//! Bytes as they came off the wire into server-sent events.
//!
//! A reader in h11's manner: every call gives an event, an error, or "need more". It knows nothing
//! of JSON or of what the events mean; `answer` calls it.

use memchr::memchr2;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One dispatched event. `id` and `retry` fields are read over: nothing here reconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event` field, empty when there was none.
    pub name: &'a [u8],
    /// The `data` fields, joined by line feeds. Not checked for UTF-8.
    pub data: &'a [u8],
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// One line, or all that one event holds, is over the bound.
    EventTooLarge {
        /// The bound that was passed.
        event_bytes_max: usize,
    },
}

/// Where the data of a completed event lies.
enum Place {
    /// In the caller's chunk: nothing was copied.
    Chunk(usize, usize),
    /// In the line buffer: one line that came in pieces.
    Line(usize, usize),
    /// In the data buffer: several `data` lines.
    Data,
}

/// What came of looking for a line.
enum Line {
    /// Its end has not come.
    Open,
    /// It was read and completes nothing.
    Read,
    /// It completes an event.
    Completes(Place),
}

impl From<Option<Place>> for Line {
    fn from(place: Option<Place>) -> Self {
        place.map_or(Self::Read, Self::Completes)
    }
}

/// How far the event being read is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// No `data` line has come.
    NoData,
    /// The data buffer holds what has come, which may be nothing.
    HasData,
    /// The last call gave it out; the next one empties the buffers.
    GivenOut,
}

/// What a line asks for.
enum Field {
    Data,
    Name,
    Blank,
    Ignored,
}

/// A reader of one event stream.
#[derive(Debug)]
pub struct Framer {
    event_bytes_max: usize,
    /// A line whose end has not come yet.
    line: Vec<u8>,
    /// `data` lines of the event being read that could not be handed out in place.
    data: Vec<u8>,
    name: Vec<u8>,
    progress: Progress,
    at_start: bool,
    /// The last line ended with CR: a line feed that follows belongs to it.
    after_cr: bool,
    failed: Option<FrameError>,
    #[cfg(test)]
    pub(super) scanned: usize,
}

impl Framer {
    /// A reader at the start of a stream; no event may hold more than `event_bytes_max` bytes.
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            event_bytes_max,
            line: Vec::new(),
            data: Vec::new(),
            name: Vec::new(),
            progress: Progress::NoData,
            at_start: true,
            after_cr: false,
            failed: None,
            #[cfg(test)]
            scanned: 0,
        }
    }

    /// The next event that `chunk` completes, or `None` once the chunk is used up.
    ///
    /// Takes what it reads off the front of `chunk`, which may split a line, a CRLF or a UTF-8
    /// character anywhere. The rest of an event stays buffered, at most `event_bytes_max` bytes.
    /// Cost: O(chunk), no byte is looked at twice; an event of one line inside one chunk is not
    /// copied.
    ///
    /// # Errors
    /// [`FrameError::EventTooLarge`] past the bound; the framer is then closed and repeats it.
    ///
    /// Source: WHATWG HTML, "Interpreting an event stream".
    pub fn next_event<'event, 'chunk: 'event>(
        &'event mut self,
        chunk: &mut &'chunk [u8],
    ) -> Result<Option<Event<'event>>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.forget_given_out();
        let whole = *chunk;
        let mut at = 0;
        let place = loop {
            match self.read_line(whole, &mut at) {
                Ok(Line::Completes(place)) => break place,
                Ok(Line::Read) => {}
                Ok(Line::Open) => {
                    *chunk = &[];
                    return Ok(None);
                }
                Err(error) => {
                    self.fail(error);
                    return Err(error);
                }
            }
        };
        *chunk = &whole[at..];
        self.progress = Progress::GivenOut;
        let data = match place {
            Place::Chunk(from, to) => &whole[from..to],
            Place::Line(from, to) => &self.line[from..to],
            Place::Data => &self.data[..],
        };
        Ok(Some(Event {
            name: &self.name,
            data,
        }))
    }

    /// Bytes held for an event that is not complete.
    pub fn buffered_bytes(&self) -> usize {
        if self.progress == Progress::GivenOut {
            return 0;
        }
        self.line.len() + self.data.len() + self.name.len()
    }

    /// Reads one line, or keeps what there is of it.
    fn read_line(&mut self, chunk: &[u8], at: &mut usize) -> Result<Line, FrameError> {
        if self.after_cr && *at < chunk.len() {
            self.after_cr = false;
            if chunk[*at] == b'\n' {
                *at += 1;
            }
        }
        let from = *at;
        let rest = &chunk[from..];
        let Some(length) = memchr2(b'\n', b'\r', rest) else {
            self.count_scanned(rest.len());
            *at = chunk.len();
            self.hold(rest)?;
            return Ok(Line::Open);
        };
        self.count_scanned(length + 1);
        *at = from + length + 1;
        self.after_cr = rest[length] == b'\r';
        if self.line.is_empty() {
            self.check_room(length)?;
            let skipped = self.skip_byte_order_mark(&rest[..length]);
            let line = &rest[skipped..length];
            return Ok(self.take_line(line, chunk, at, from + skipped).into());
        }
        self.hold(&rest[..length])?;
        Ok(self.take_held_line(chunk, at).into())
    }

    /// A line that lies in the chunk, starting at `from`.
    fn take_line(
        &mut self,
        line: &[u8],
        chunk: &[u8],
        at: &mut usize,
        from: usize,
    ) -> Option<Place> {
        let (field, value_at) = classify(line);
        match field {
            Field::Data if self.is_first_data() && self.skip_blank_line(chunk, at) => {
                Some(Place::Chunk(from + value_at, from + line.len()))
            }
            Field::Data => {
                self.append_data(&line[value_at..]);
                None
            }
            Field::Name => {
                self.name.clear();
                self.name.extend_from_slice(&line[value_at..]);
                None
            }
            Field::Blank => self.dispatch(),
            Field::Ignored => None,
        }
    }

    /// A line that came in pieces and is whole now.
    fn take_held_line(&mut self, chunk: &[u8], at: &mut usize) -> Option<Place> {
        let mut line = std::mem::take(&mut self.line);
        let skipped = self.skip_byte_order_mark(&line);
        let (field, value_at) = classify(&line[skipped..]);
        let value_at = skipped + value_at;
        let mut place = None;
        match field {
            Field::Data if self.is_first_data() && self.skip_blank_line(chunk, at) => {
                place = Some(Place::Line(value_at, line.len()));
            }
            Field::Data => self.append_data(&line[value_at..]),
            Field::Name => {
                self.name.clear();
                self.name.extend_from_slice(&line[value_at..]);
            }
            Field::Blank => place = self.dispatch(),
            Field::Ignored => {}
        }
        if !matches!(place, Some(Place::Line(..))) {
            line.clear();
        }
        self.line = line;
        place
    }

    /// Whether a blank line stands next in the chunk; it is then read over.
    fn skip_blank_line(&mut self, chunk: &[u8], at: &mut usize) -> bool {
        let mut next = *at;
        if self.after_cr && chunk.get(next) == Some(&b'\n') {
            next += 1;
        }
        let length = match chunk.get(next..) {
            Some([b'\r', b'\n', ..]) => 2,
            Some([b'\n', ..]) => 1,
            _ => return false,
        };
        self.count_scanned(length);
        self.after_cr = false;
        *at = next + length;
        true
    }

    fn append_data(&mut self, value: &[u8]) {
        if !self.is_first_data() {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.progress = Progress::HasData;
    }

    fn dispatch(&mut self) -> Option<Place> {
        if !self.is_first_data() {
            return Some(Place::Data);
        }
        self.name.clear();
        None
    }

    fn is_first_data(&self) -> bool {
        self.progress == Progress::NoData
    }

    fn forget_given_out(&mut self) {
        if self.progress == Progress::GivenOut {
            self.progress = Progress::NoData;
            self.line.clear();
            self.data.clear();
            self.name.clear();
        }
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        self.check_room(self.line.len() + bytes.len())?;
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn check_room(&self, line_bytes: usize) -> Result<(), FrameError> {
        if self.data.len() + self.name.len() + line_bytes > self.event_bytes_max {
            return Err(FrameError::EventTooLarge {
                event_bytes_max: self.event_bytes_max,
            });
        }
        Ok(())
    }

    fn skip_byte_order_mark(&mut self, line: &[u8]) -> usize {
        let skipped = self.at_start && line.starts_with(BYTE_ORDER_MARK);
        self.at_start = false;
        if skipped { BYTE_ORDER_MARK.len() } else { 0 }
    }

    fn fail(&mut self, error: FrameError) {
        self.failed = Some(error);
        self.line = Vec::new();
        self.data = Vec::new();
        self.name = Vec::new();
    }

    /// Counts what was looked at, for the test that nothing is looked at twice.
    #[cfg(test)]
    fn count_scanned(&mut self, bytes: usize) {
        self.scanned += bytes;
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "counts in tests only")]
    fn count_scanned(&mut self, _: usize) {}
}

/// What a line asks for, and where its value begins.
fn classify(line: &[u8]) -> (Field, usize) {
    if line.is_empty() {
        return (Field::Blank, 0);
    }
    let (field, name_length) = match line {
        b"data" | [b'd', b'a', b't', b'a', b':', ..] => (Field::Data, 4),
        b"event" | [b'e', b'v', b'e', b'n', b't', b':', ..] => (Field::Name, 5),
        _ => return (Field::Ignored, 0),
    };
    let value_at = match &line[name_length..] {
        [] => name_length,
        [_, b' ', ..] => name_length + 2,
        _ => name_length + 1,
    };
    (field, value_at)
}

#[cfg(test)]
#[path = "framer_tests.rs"]
mod tests;
