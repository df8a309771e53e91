//! Maps of small keys with a fast hash.
//!
//! Keys may be chosen by whoever wrote the schema; the bounds on its size keep even a map in which
//! all keys collide cheap.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A map with [`Fast`] hashing.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Fast>>;
/// A set with [`Fast`] hashing.
pub type Set<K> = HashSet<K, BuildHasherDefault<Fast>>;

/// A map with room for so many.
pub fn with_room<K, V>(count: usize) -> Map<K, V> {
    Map::with_capacity_and_hasher(count, BuildHasherDefault::default())
}

/// Multiply and rotate, as Firefox and rustc do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fast(u64);

impl Fast {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Fast {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.add(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            self.add(
                rest.iter()
                    .fold(rest.len() as u64, |all, &byte| all << 8 | u64::from(byte)),
            );
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.add(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.add(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.add(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.add(value as u64);
    }

    fn finish(&self) -> u64 {
        // The map takes the upper bits for its tags and the lower ones for its place.
        self.0 ^ (self.0 >> 32)
    }
}

/// Numbers of things that lie elsewhere, found by a print that equal ones have in common.
#[derive(Debug, Default)]
pub struct Numbers(Map<u64, u32>);

impl Numbers {
    /// The number of the thing with a print, which is `fresh` if none is the same.
    pub fn of(&mut self, print: u64, fresh: u32, is_same: impl Fn(u32) -> bool) -> u32 {
        let mut print = print;
        loop {
            let known = *self.0.entry(print).or_insert(fresh);
            if known == fresh || is_same(known) {
                return known;
            }
            print = print.wrapping_add(1);
        }
    }
}

/// A print of words.
pub fn print_of(words: impl IntoIterator<Item = u32>) -> u64 {
    let mut hasher = Fast::default();
    for word in words {
        hasher.add(u64::from(word));
    }
    hasher.finish()
}
