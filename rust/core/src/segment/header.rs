//! The first words of the segment: what the file is, for whom, how large. Written once, before the
//! file gets its name.

use super::LAYOUT_VERSION;
use super::layout::{Layout, SizeError, Sizes, WORD_BYTES};
use crate::counters;
use crate::keys::crc32;

const MAGIC: u64 = u64::from_le_bytes(*b"tknmill\n");

/// Words that `check_header` reads, and their bytes.
const CHECKED_WORDS: usize = 13;
/// Bytes that [`check_header`] wants to see.
pub const HEADER_BYTES: usize = CHECKED_WORDS * WORD_BYTES;

/// Identity of this boot of the machine: after another boot the monotonic clock has begun anew and
/// no process of before lives, so nothing in a segment is true any more.
pub type BootId = [u8; 16];

/// Why a file can't be attached as a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachError {
    /// The file is shorter than a header.
    TooShort {
        /// Its length.
        found_bytes: u64,
    },
    /// It does not begin with the magic word.
    OtherMagic,
    /// The header does not match its checksum.
    DamagedHeader,
    /// Made by a tokenmill that lays its segment out in another way.
    OtherLayout {
        /// Its layout version; equal to ours if only the list of counters differs.
        found: u64,
    },
    /// Made before the machine was started anew.
    OtherBoot,
    /// The sizes in the header are out of bounds.
    BadSizes(SizeError),
    /// The file does not have the length that its header promises.
    OtherLength {
        /// Length by the header.
        expected_bytes: u64,
        /// Length of the file.
        found_bytes: u64,
    },
}

/// What a good header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Where things lie.
    pub layout: Layout,
    /// 63 random bits: no other segment has them.
    pub incarnation: u64,
}

/// The words that begin a segment of this layout and boot.
pub fn header_words(header: &Header, boot: BootId) -> [u64; CHECKED_WORDS] {
    let layout = &header.layout;
    let sizes = layout.sizes();
    let (first_half, second_half) = boot_words(boot);
    let mut words = [
        MAGIC,
        LAYOUT_VERSION,
        first_half,
        second_half,
        sizes.keys_max as u64,
        sizes.workers_max as u64,
        sizes.engines_max as u64,
        u64::from(counters::names_checksum()),
        layout.total_bytes() as u64,
        sizes.accounts_max as u64,
        sizes.cells_max as u64,
        header.incarnation,
        0,
    ];
    words[CHECKED_WORDS - 1] = words_checksum(&words);
    words
}

/// The header of a file that begins with `start` and is `file_bytes` long.
///
/// # Errors
/// [`AttachError`], the most telling reason first.
pub fn check_header(start: &[u8], file_bytes: u64, boot: BootId) -> Result<Header, AttachError> {
    let (eights, _) = start.as_chunks::<WORD_BYTES>();
    let Some(eights) = eights.first_chunk::<CHECKED_WORDS>() else {
        return Err(AttachError::TooShort {
            found_bytes: file_bytes,
        });
    };
    let words = eights.map(u64::from_le_bytes);
    if words[0] != MAGIC {
        return Err(AttachError::OtherMagic);
    }
    // Magic, version and boot stand where every version has them.
    let is_of_this_boot = (words[2], words[3]) == boot_words(boot);
    let other_layout = if is_of_this_boot {
        AttachError::OtherLayout { found: words[1] }
    } else {
        AttachError::OtherBoot
    };
    if words[1] != LAYOUT_VERSION {
        return Err(other_layout);
    }
    if words[CHECKED_WORDS - 1] != words_checksum(&words) {
        return Err(AttachError::DamagedHeader);
    }
    if words[7] != u64::from(counters::names_checksum()) {
        return Err(other_layout);
    }
    if !is_of_this_boot {
        return Err(AttachError::OtherBoot);
    }
    let size = |word: u64| usize::try_from(word).unwrap_or(usize::MAX);
    let sizes = Sizes {
        keys_max: size(words[4]),
        workers_max: size(words[5]),
        engines_max: size(words[6]),
        accounts_max: size(words[9]),
        cells_max: size(words[10]),
    };
    let layout = Layout::new(sizes).map_err(AttachError::BadSizes)?;
    let expected_bytes = layout.total_bytes() as u64;
    if expected_bytes != file_bytes || words[8] != file_bytes {
        return Err(AttachError::OtherLength {
            expected_bytes,
            found_bytes: file_bytes,
        });
    }
    Ok(Header {
        layout,
        incarnation: words[11],
    })
}

fn boot_words(boot: BootId) -> (u64, u64) {
    let both = u128::from_le_bytes(boot);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves of the number"
    )]
    let halves = (both as u64, (both >> 64) as u64);
    halves
}

fn words_checksum(words: &[u64; CHECKED_WORDS]) -> u64 {
    let bytes: Vec<u8> = words[..CHECKED_WORDS - 1]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    u64::from(crc32(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOOT: BootId = *b"boot of the test";

    fn layout() -> Layout {
        Layout::new(Sizes {
            keys_max: 100,
            workers_max: 3,
            engines_max: 5,
            accounts_max: 7,
            cells_max: 16,
        })
        .unwrap()
    }

    fn whole() -> Header {
        Header {
            layout: layout(),
            incarnation: 77,
        }
    }

    fn header() -> Vec<u8> {
        header_words(&whole(), BOOT)
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect()
    }

    fn file_bytes() -> u64 {
        layout().total_bytes() as u64
    }

    #[test]
    fn a_header_gives_its_layout_back() {
        assert_eq!(check_header(&header(), file_bytes(), BOOT), Ok(whole()));
    }

    #[test]
    fn each_fault_is_named() {
        let short = check_header(&header()[..40], 40, BOOT);
        assert_eq!(short, Err(AttachError::TooShort { found_bytes: 40 }));
        let zeros = check_header(&[0; HEADER_BYTES], file_bytes(), BOOT);
        assert_eq!(zeros, Err(AttachError::OtherMagic));
        let other_boot = check_header(&header(), file_bytes(), *b"another boot id.");
        assert_eq!(other_boot, Err(AttachError::OtherBoot));
        let mut newer = header();
        newer[8] += 1;
        let found = LAYOUT_VERSION + 1;
        assert_eq!(
            check_header(&newer, file_bytes(), BOOT),
            Err(AttachError::OtherLayout { found })
        );
        let before = check_header(&newer, file_bytes(), *b"another boot id.");
        assert_eq!(before, Err(AttachError::OtherBoot));
        let expected_bytes = file_bytes();
        let found_bytes = expected_bytes - 1;
        assert_eq!(
            check_header(&header(), found_bytes, BOOT),
            Err(AttachError::OtherLength {
                expected_bytes,
                found_bytes
            })
        );
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_noticed(at in 0..HEADER_BYTES, byte in any::<u8>()) {
            let mut changed = header();
            prop_assume!(changed[at] != byte);
            changed[at] = byte;
            prop_assert!(check_header(&changed, file_bytes(), BOOT).is_err());
        }

        #[test]
        fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(check_header(&bytes, bytes.len() as u64, BOOT).is_err());
        }
    }
}
