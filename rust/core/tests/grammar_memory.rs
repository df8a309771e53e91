//! No schema of 64 kB takes more than 64 MB to compile, a slot of scratch memory included.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokenmill_core::grammar::limits::Options;
use tokenmill_core::grammar::{compile, prepare};

/// What is left of it beside a slot of scratch memory, of which all may be garbage.
const LIVE_BYTES_MAX: usize = 64_000_000 - (6 << 20);
const SCHEMA_BYTES_MAX: usize = 64 << 10;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// The system's, which counts the bytes that are in use.
struct Counting;

fn grown(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: every call is the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grown(size);
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// As many parts as fit, between what stands before and behind them.
fn filled(before: &str, part: impl Fn(usize) -> String, behind: &str) -> String {
    let mut schema = before.to_owned();
    for at in 0.. {
        let part = part(at);
        if schema.len() + part.len() + behind.len() >= SCHEMA_BYTES_MAX {
            break;
        }
        let comma = if at == 0 { "" } else { "," };
        write!(schema, "{comma}{part}").unwrap_or_default();
    }
    schema + behind
}

#[test]
fn schemas_made_to_take_memory_do_not_take_much() {
    prepare();
    let many: String = ('\u{4e00}'..).take(9_000).collect();
    let schemas = [
        filled(
            "{\"allOf\": [",
            |at| format!(r#"{{"contains":{{"items":{{"const":{at}}}}}}}"#),
            "]}",
        ),
        filled(
            "{\"anyOf\": [",
            |at| format!(r#"{{"not":{{"maxProperties":{}}}}}"#, at + 1),
            "]}",
        ),
        filled(
            "{\"anyOf\": [",
            |at| format!(r#"{{"minProperties":{at}}}"#),
            "]}",
        ),
        filled(
            "{\"items\": {\"anyOf\": [",
            |at| format!(r#"{{"minProperties":{at}}}"#),
            "]}, \"uniqueItems\": true}",
        ),
        format!(r#"{{"not": {{"const": "{many}"}}}}"#),
    ];
    for schema in schemas {
        for closed_objects in [false, true] {
            let options = Options {
                closed_objects,
                ..Options::default()
            };
            let before = NOW.load(Ordering::Relaxed);
            MOST.store(before, Ordering::Relaxed);
            drop(compile(schema.as_bytes(), &options));
            let most = MOST.load(Ordering::Relaxed) - before;
            assert!(most <= LIVE_BYTES_MAX, "{most} bytes: {}", &schema[..60]);
        }
    }
}
