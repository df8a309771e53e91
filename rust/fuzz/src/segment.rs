//! Law: whatever lies where a segment should, it is refused by name or is one; `create` then makes
//! one that works, and what was there is never trusted.

use std::path::Path;

use tokenmill_core::keys::Digest;
use tokenmill_core::segment::Sizes;
use tokenmill_io::segment::Segment;

const SIZES: Sizes = Sizes {
    keys_max: 8,
    workers_max: 2,
    engines_max: 2,
    accounts_max: 8,
    cells_max: 8,
};

/// The first byte says what is done to a good segment's file; the rest is written over it.
pub fn run(input: &[u8]) {
    let [deed, bytes @ ..] = input else {
        return;
    };
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let path = folder.path().join("hot.segment");
    drop(Segment::create(&path, SIZES));
    let Ok(mut content) = std::fs::read(&path) else {
        return;
    };
    match deed % 4 {
        0 => content = bytes.to_vec(),
        1 => content.truncate(bytes.len()),
        2 => content.extend_from_slice(bytes),
        _ => {
            let count = bytes.len().min(content.len()).min(80);
            content[..count].copy_from_slice(&bytes[..count]);
        }
    }
    if std::fs::write(&path, &content).is_err() {
        return;
    }
    use_it(&path);
}

fn use_it(path: &Path) {
    // Attached or refused: no panic, no signal for a page that is not there.
    if let Ok(segment) = Segment::attach(path) {
        segment.set_keys_ready();
        assert_eq!(
            segment.totals().len(),
            tokenmill_core::counters::Counter::COUNT
        );
    }
    let made = Segment::create(path, SIZES);
    assert!(made.is_ok(), "nothing works here any more");
    if let Ok(segment) = made {
        assert!(
            !segment.keys_ready(),
            "keys of an earlier house are believed"
        );
        assert!(!segment.revoke_key(Digest::of(b"nobody")));
    }
}
