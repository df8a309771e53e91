//! Making and opening the file of a segment.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use tokenmill_core::segment::{BootId, HEADER_BYTES, Header, check_header, header_words};

use super::SegmentError;

/// How many segments of other sizes and layouts may wait for the ledger.
const ASIDE_MAX: usize = 16;

/// Zeros are written in pieces of this size where the file system can't allocate.
const PIECE_BYTES: usize = 1 << 20;

impl SegmentError {
    /// A failure that is not for want of room.
    pub(super) fn reading(error: io::Error) -> Self {
        Self::Io {
            error,
            needed_bytes: 0,
        }
    }
}

/// The file at `path`, opened for mapping, and its header.
pub(super) fn open(path: &Path, boot: BootId) -> Result<(File, Header), SegmentError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let file = opened.map_err(SegmentError::reading)?;
    let mut start = Vec::with_capacity(HEADER_BYTES);
    let read = (&file).take(HEADER_BYTES as u64).read_to_end(&mut start);
    read.map_err(SegmentError::reading)?;
    let metadata = file.metadata().map_err(SegmentError::reading)?;
    let header = check_header(&start, metadata.len(), boot).map_err(SegmentError::Attach)?;
    Ok((file, header))
}

/// A new file at `path`: whole under a temporary name before it gets its own, so that nobody ever
/// opens half a segment. Whoever has an older file mapped keeps that.
pub(super) fn make(path: &Path, header: &Header, boot: BootId) -> Result<File, SegmentError> {
    let needed_bytes = header.layout.total_bytes() as u64;
    let temporary = beside(path, ".new");
    let made = fill(&temporary, header, boot).and_then(|file| {
        std::fs::rename(&temporary, path)?;
        Ok(file)
    });
    made.map_err(|error| {
        // The failure to report is the first one; a leftover is removed by the next try.
        let _ = std::fs::remove_file(&temporary);
        SegmentError::Io {
            error,
            needed_bytes,
        }
    })
}

/// One name for all tries: the state folder's lock lets only one process make segments, and what a
/// killed one left is overwritten instead of piling up.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Renames the file at `path` to the first of `PATH.previous`, `PATH.previous-1`, … that is not
/// there yet.
pub(super) fn set_aside(path: &Path) -> io::Result<()> {
    let names = (0..ASIDE_MAX).map(|number| match number {
        0 => ".previous".to_owned(),
        _ => format!(".previous-{number}"),
    });
    for name in names {
        let aside = beside(path, &name);
        if !aside.try_exists()? {
            return std::fs::rename(path, aside);
        }
    }
    let message = "too many hot segments were set aside: start once with a database that works; \
                   those that stay are of another version (see tokenmill doctor)";
    Err(io::Error::new(io::ErrorKind::AlreadyExists, message))
}

/// 63 random bits.
pub(super) fn fresh_incarnation() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok((u64::from_le_bytes(bytes) >> 1).max(1))
}

fn fill(path: &Path, header: &Header, boot: BootId) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let words = header_words(header, boot).map(u64::to_le_bytes);
    allocate(&mut file, header.layout.total_bytes())?;
    std::os::unix::fs::FileExt::write_all_at(&file, words.as_flattened(), 0)?;
    Ok(file)
}

/// Gives the file its length with every block on disk: a store into a hole of a sparse file would
/// be a SIGBUS on a full disk.
fn allocate(file: &mut File, bytes: usize) -> io::Result<()> {
    match fallocate(&*file, FallocateFlags::empty(), 0, bytes as u64) {
        Ok(()) => {}
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => write_zeros(file, bytes)?,
        Err(error) => return Err(error.into()),
    }
    // macOS reserves the blocks without changing the length.
    file.set_len(bytes as u64)
}

fn write_zeros(file: &mut File, bytes: usize) -> io::Result<()> {
    let zeros = vec![0_u8; PIECE_BYTES];
    let mut left = bytes;
    while left > 0 {
        let piece = left.min(PIECE_BYTES);
        file.write_all(&zeros[..piece])?;
        left -= piece;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_as_long_as_asked() {
        let mut file = tempfile::tempfile().unwrap();
        write_zeros(&mut file, PIECE_BYTES + 5).unwrap();
        assert_eq!(file.metadata().unwrap().len(), PIECE_BYTES as u64 + 5);
    }
}
