//! Law: of all bytes, only those that a segment of this layout and boot begins with are its header.

use tokenmill_core::segment::{check_header, header_words};

const BOOT: [u8; 16] = *b"boot of the fuzz";

/// The input is the file's beginning.
pub fn run(input: &[u8]) {
    for file_bytes in [input.len() as u64, 0, u64::MAX, 65_536] {
        let Ok(found) = check_header(input, file_bytes, BOOT) else {
            continue;
        };
        let header: Vec<u8> = header_words(&found, BOOT)
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        assert!(input.starts_with(&header), "another file is taken for ours");
        assert_eq!(found.layout.total_bytes() as u64, file_bytes);
    }
}
