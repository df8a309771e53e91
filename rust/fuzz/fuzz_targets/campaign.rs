//! A target under libFuzzer, which is led by what the code covers: by hand, for hours, on nightly.
//!
//! `TOKENMILL_FUZZ_TARGET=answer cargo +nightly fuzz run --fuzz-dir rust/fuzz --features libfuzzer
//! campaign FOUND rust/fuzz/corpus/answer -- -max_total_time=600` keeps what it finds in `FOUND`.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tokenmill_fuzz::{TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("TOKENMILL_FUZZ_TARGET").unwrap_or_default();
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    TARGETS
        .iter()
        .find(|target| target.name == name)
        .unwrap_or_else(|| panic!("TOKENMILL_FUZZ_TARGET is {name:?}, not one of {names:?}"))
});

fuzz_target!(|input: &[u8]| (TARGET.run)(input));
