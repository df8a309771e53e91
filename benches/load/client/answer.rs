//! One HTTP/1.1 answer, read as it comes: status 200, and a body of a length or in chunks.

use std::io;

use memchr::memmem::find;

/// Where the reader stands.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Head,
    /// Bytes of the body that are still to come.
    Body(usize),
    ChunkSize,
    /// Bytes of the chunk that are still to come, with the line end behind it.
    Chunk(usize),
    Trailer,
    End,
}

/// An answer being read. One value serves many answers, one after the other.
#[derive(Default)]
pub struct Answer {
    place: Place,
    /// Bytes that could not be read yet: part of the head or of a line.
    held: Vec<u8>,
    body: Vec<u8>,
}

impl Answer {
    /// Forgets the answer before.
    pub fn begin(&mut self) {
        self.place = Place::Head;
        self.held.clear();
        self.body.clear();
    }

    /// What has come of the body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub fn is_whole(&self) -> bool {
        self.place == Place::End
    }

    /// Takes bytes off the wire. An error for what is no whole 200, and for bytes behind the end.
    pub fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        let joined = if held.is_empty() {
            None
        } else {
            Some([&held, bytes].concat())
        };
        let mut rest = joined.as_deref().unwrap_or(bytes);
        while let Some(used) = self.step(rest)? {
            rest = &rest[used..];
        }
        if self.is_whole() && !rest.is_empty() {
            return Err(wrong("bytes after the answer's end", rest));
        }
        self.held.extend_from_slice(rest);
        Ok(())
    }

    /// Reads one part; how many bytes it took, or nothing when it needs more.
    fn step(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        if bytes.is_empty() {
            return Ok(None);
        }
        match self.place {
            Place::Head => self.read_head(bytes),
            Place::Body(left) => {
                let count = left.min(bytes.len());
                self.body.extend_from_slice(&bytes[..count]);
                self.place = match left - count {
                    0 => Place::End,
                    left => Place::Body(left),
                };
                Ok(Some(count))
            }
            Place::Chunk(left) => {
                let count = left.min(bytes.len());
                let data = left.saturating_sub(2).min(count);
                self.body.extend_from_slice(&bytes[..data]);
                self.place = match left - count {
                    0 => Place::ChunkSize,
                    left => Place::Chunk(left),
                };
                Ok(Some(count))
            }
            Place::ChunkSize | Place::Trailer => self.read_line(bytes),
            Place::End => Ok(None),
        }
    }

    fn read_head(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let Some(end) = find(bytes, b"\r\n\r\n") else {
            return Ok(None);
        };
        if !bytes.starts_with(b"HTTP/1.1 200 ") {
            return Err(wrong("not a 200", bytes));
        }
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let value = |name: &str| {
            let mut lines = head.lines();
            lines.find_map(|line| line.strip_prefix(name).map(str::trim))
        };
        self.place = if value("transfer-encoding:") == Some("chunked") {
            Place::ChunkSize
        } else {
            let length = value("content-length:").and_then(|text| text.parse().ok());
            match length.ok_or_else(|| wrong("no length", bytes))? {
                0 => Place::End,
                length => Place::Body(length),
            }
        };
        Ok(Some(end + 4))
    }

    fn read_line(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let Some(end) = find(bytes, b"\r\n") else {
            return Ok(None);
        };
        if self.place == Place::Trailer {
            if end == 0 {
                self.place = Place::End;
            }
            return Ok(Some(end + 2));
        }
        let digits = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
        let size = usize::from_str_radix(digits.trim(), 16);
        self.place = match size.map_err(|_| wrong("no chunk size", bytes))? {
            0 => Place::Trailer,
            size => Place::Chunk(size + 2),
        };
        Ok(Some(end + 2))
    }
}

fn wrong(what: &str, bytes: &[u8]) -> io::Error {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(600)]).into_owned();
    io::Error::other(format!("{what}: {shown}"))
}
