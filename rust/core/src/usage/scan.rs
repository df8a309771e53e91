//! One pass over JSON text that checks its grammar and hands out spans; it builds nothing.
//!
//! It knows no field of any API. `chunk` walks objects with it. Strings are not decoded, so a lone
//! surrogate escape passes, as RFC 8259 allows.

use super::literal::decodes_to;

/// How deep values may nest: `serde_json`'s own bound.
pub const DEPTH_MAX: u32 = 128;

/// Why a text is not JSON that this scanner reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanError {
    /// Not JSON at this byte.
    Malformed {
        /// Offset of the byte.
        at: usize,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    TooDeep,
    /// An object was wanted and something else is there.
    NotAnObject,
    /// A choice's `index` at or over [`super::CHOICES_MAX`].
    TooManyChoices,
}

/// A half-open range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub from: usize,
    /// One past the last byte.
    pub to: usize,
}

impl Span {
    /// The bytes of `text` that the span covers.
    pub fn of(self, text: &[u8]) -> &[u8] {
        &text[self.from..self.to]
    }
}

/// A key as it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// What is inside the quotes.
    pub span: Span,
    has_escapes: bool,
}

impl Key {
    /// Whether it spells `name`; escapes are understood.
    #[inline]
    pub fn spells<const LENGTH: usize>(self, text: &[u8], name: &[u8; LENGTH]) -> bool {
        let raw = self.span.of(text);
        if self.has_escapes {
            return decodes_to(raw, name);
        }
        raw == name
    }
}

/// A cursor over JSON text.
#[derive(Debug)]
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Scanner<'a> {
    /// A cursor before the first byte.
    pub fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    /// Offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Moves the cursor on to `at`, the beginning of a value that was read over before.
    pub fn skip_to(&mut self, at: usize) {
        self.at = at;
    }

    /// The next byte that is not white space; the cursor stands on it.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Nothing but white space is left.
    ///
    /// # Errors
    /// [`ScanError::Malformed`] where something else stands.
    pub fn end(&mut self) -> Result<(), ScanError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.malformed()),
        }
    }

    /// Reads over one value of any type; its span.
    ///
    /// # Errors
    /// [`ScanError`] when the text is not JSON there or nests too deep.
    pub fn value(&mut self) -> Result<Span, ScanError> {
        let next = self.peek();
        let from = self.at;
        match next {
            Some(b'"') => {
                self.string()?;
            }
            Some(b'{') => self.object(|scanner, _| scanner.value().map(drop))?,
            Some(b'[') => self.array(|scanner| scanner.value().map(drop))?,
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return Err(self.malformed()),
        }
        Ok(Span { from, to: self.at })
    }

    /// Reads an object; `each` is called with a key, stands before the value, and must
    /// read it.
    ///
    /// # Errors
    /// Those of the text and of `each`.
    pub fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, Key) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        self.expect(b'{')?;
        self.enter()?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.depth -= 1;
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.malformed());
            }
            let key = self.string()?;
            self.expect(b':')?;
            each(self, key)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.malformed()),
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    /// Reads an array; `each` stands before an item and must read it.
    ///
    /// # Errors
    /// Those of the text and of `each`.
    pub fn array(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        self.expect(b'[')?;
        self.enter()?;
        if self.peek() == Some(b']') {
            self.at += 1;
            self.depth -= 1;
            return Ok(());
        }
        loop {
            each(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.malformed()),
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    #[inline]
    fn enter(&mut self) -> Result<(), ScanError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(ScanError::TooDeep);
        }
        Ok(())
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), ScanError> {
        if self.peek() != Some(byte) {
            return Err(self.malformed());
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), ScanError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.malformed());
        }
        self.at += word.len();
        Ok(())
    }

    /// Stands on the opening quote.
    fn string(&mut self) -> Result<Key, ScanError> {
        let from = self.at + 1;
        let mut has_escapes = false;
        self.at = from;
        loop {
            self.at += plain_length(&self.text[self.at..]);
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                _ => return Err(self.malformed()),
            }
        }
        self.at += 1;
        let span = Span {
            from,
            to: self.at - 1,
        };
        Ok(Key { span, has_escapes })
    }

    fn escape(&mut self) -> Result<(), ScanError> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..self.at + 6);
                if !digits.is_some_and(|four| four.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.malformed());
                }
                self.at += 6;
            }
            _ => return Err(self.malformed()),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), ScanError> {
        if self.text.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.text.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.malformed()),
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    #[inline]
    fn digits(&mut self) -> Result<(), ScanError> {
        let from = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == from {
            return Err(self.malformed());
        }
        Ok(())
    }

    fn malformed(&self) -> ScanError {
        ScanError::Malformed { at: self.at }
    }
}

/// How many bytes from the start need no look: no quote, no backslash, no control character.
///
/// Eight at a time without a branch for each: most strings of an answer are short.
/// Source: Bit Twiddling Hacks, "Determine if a word has a byte less than n"; the lowest hit is
/// exact.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quotes = word ^ (ONES * u64::from(b'"'));
        let backslashes = word ^ (ONES * u64::from(b'\\'));
        let stops = (quotes.wrapping_sub(ONES) & !quotes)
            | (backslashes.wrapping_sub(ONES) & !backslashes)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let stops = stops & TOPS;
        if stops != 0 {
            return at * 8 + (stops.trailing_zeros() / 8) as usize;
        }
    }
    let stops = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    words.len() * 8 + rest.iter().position(stops).unwrap_or(rest.len())
}
