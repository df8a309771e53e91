//! The key table: whatever a reader meets a writer at, it sees a whole record, and the right one.

use loom::sync::atomic::AtomicU64;
use loom::thread;
use std::sync::Arc;
use tokenmill_core::keys::{COUNT_WORDS, Digest, KeyRecord, KeyTable, SLOT_WORDS, slots_for};

use crate::check;

const KEYS_MAX: usize = 1;
const PREEMPTIONS: usize = 3;

struct Memory {
    words: Vec<AtomicU64>,
    counts: Vec<AtomicU64>,
}

impl Memory {
    fn new() -> Arc<Self> {
        let zeros = |count| {
            let zero = || AtomicU64::new(0);
            std::iter::repeat_with(zero).take(count).collect()
        };
        Arc::new(Self {
            words: zeros(slots_for(KEYS_MAX) * SLOT_WORDS),
            counts: zeros(COUNT_WORDS),
        })
    }

    fn put(&self, digest: Digest, number: u64) {
        self.table().put(digest, &record(number)).unwrap();
    }

    fn table(&self) -> KeyTable<'_> {
        KeyTable::new(&self.words, &self.counts, KEYS_MAX)
    }

    /// The number of the record that is found, and whether the key is live.
    fn find(&self, digest: Digest) -> Option<(u64, bool)> {
        let (found, is_live) = self.table().find(digest)?;
        assert_eq!(found, record(found.key_id), "a torn record");
        Some((found.key_id, is_live))
    }
}

/// Every field says the number.
fn record(number: u64) -> KeyRecord {
    KeyRecord {
        key_id: number,
        account_id: number,
        tier: number.to_le_bytes()[0],
        scopes: number.to_le_bytes()[0].into(),
        expires_at_s: number,
    }
}

/// Digests whose search begins at the first slot, or at the second.
fn digest(slot: u8, number: u8) -> Digest {
    let mut bytes = [number; 32];
    bytes[..8].fill(if slot == 0 { 0 } else { 0xFF });
    Digest::from_bytes(bytes)
}

#[test]
fn a_replaced_record_is_the_old_one_or_the_new_one() {
    check(PREEMPTIONS, || {
        let memory = Memory::new();
        let key = digest(0, 1);
        memory.put(key, 1);
        let writer = thread::spawn({
            let memory = Arc::clone(&memory);
            move || (2..4).for_each(|number| memory.put(key, number))
        });
        let (first, is_live) = memory.find(key).unwrap();
        assert!(is_live);
        let (second, _) = memory.find(key).unwrap();
        assert!(first <= second, "time ran backwards: {first}, {second}");
        writer.join().unwrap();
        assert_eq!(memory.find(key), Some((3, true)));
    });
}

#[test]
fn a_new_key_is_not_there_or_whole_and_is_refused_after_its_revocation() {
    check(PREEMPTIONS, || {
        let memory = Memory::new();
        let key = digest(0, 1);
        let writer = thread::spawn({
            let memory = Arc::clone(&memory);
            move || {
                memory.put(key, 1);
                assert!(memory.table().revoke(key));
            }
        });
        let first = memory.find(key);
        let second = memory.find(key);
        let order = [None, Some((1, true)), Some((1, false))];
        let place = |seen| order.iter().position(|each| *each == seen).unwrap();
        assert!(place(first) <= place(second), "{first:?}, {second:?}");
        writer.join().unwrap();
        assert_eq!(memory.find(key), Some((1, false)));
    });
}

#[test]
fn a_slot_that_is_given_away_never_opens_for_its_former_key() {
    check(PREEMPTIONS, || {
        let memory = Memory::new();
        let (former, other, new) = (digest(0, 1), digest(1, 1), digest(0, 2));
        memory.put(other, 2);
        assert!(memory.table().revoke(other));
        memory.put(former, 1);
        let writer = thread::spawn({
            let memory = Arc::clone(&memory);
            move || {
                assert!(memory.table().revoke(former));
                memory.put(new, 3); // no slot is empty: it gets this one
            }
        });
        let seen = memory.find(former);
        assert!(matches!(seen, None | Some((1, _))), "{seen:?}");
        // Between its digest and its record it is revoked, as nobody's.
        if let Some((number, true)) = memory.find(new) {
            assert_eq!(number, 3);
        }
        writer.join().unwrap();
        assert_eq!(memory.find(former), None);
        assert_eq!(memory.find(new), Some((3, true)));
    });
}
