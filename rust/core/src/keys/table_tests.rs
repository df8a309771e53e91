//! Laws of the key table: it equals a map; a writer that dies before any store leaves either the
//! old state or the new one, and a table that the next writer can use; readers never see a torn
//! record.

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proptest::prelude::*;

use super::{COUNT_WORDS, Digest, KeyRecord, KeyTable, SLOT_WORDS, TableFull, slots_for};

thread_local! {
    static STORES_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Stands before every store of the table: the process "dies" here when its stores are used up.
pub(super) fn crash_if_due() {
    STORES_LEFT.with(|left| match left.get() {
        None => {}
        Some(0) => std::panic::panic_any("killed"),
        Some(count) => left.set(Some(count - 1)),
    });
}

/// Whether `deed` came to its end with `stores` stores.
fn run_with_stores(stores: u32, deed: impl FnOnce()) -> bool {
    STORES_LEFT.with(|left| left.set(Some(stores)));
    let ended = catch_unwind(AssertUnwindSafe(deed)).is_ok();
    STORES_LEFT.with(|left| left.set(None));
    ended
}

struct Memory {
    words: Vec<AtomicU64>,
    counts: Vec<AtomicU64>,
    keys_max: usize,
}

impl Memory {
    fn new(keys_max: usize) -> Self {
        let zeros = |count| {
            std::iter::repeat_with(|| AtomicU64::new(0))
                .take(count)
                .collect()
        };
        let words = zeros(slots_for(keys_max) * SLOT_WORDS);
        Self {
            words,
            counts: zeros(COUNT_WORDS),
            keys_max,
        }
    }

    fn table(&self) -> KeyTable<'_> {
        KeyTable::new(&self.words, &self.counts, self.keys_max)
    }
}

fn digest(number: u8) -> Digest {
    Digest::of(&[number])
}

fn record(number: u64) -> KeyRecord {
    KeyRecord {
        key_id: number,
        account_id: number,
        tier: number.to_le_bytes()[0],
        scopes: number.to_le_bytes()[0].into(),
        expires_at_s: number,
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Put(u8, u64),
    Revoke(u8),
    /// A load that puts the keys below this number again.
    Load(u8),
}

fn apply(step: Step, table: &KeyTable<'_>) -> Result<(), TableFull> {
    match step {
        Step::Put(key, value) => table.put(digest(key), &record(value)),
        Step::Revoke(key) => {
            table.revoke(digest(key));
            Ok(())
        }
        Step::Load(below) => {
            let kept: Vec<_> = (0..below)
                .filter_map(|key| table.find(digest(key)).map(|found| (key, found)))
                .filter(|(_, (_, is_live))| *is_live)
                .collect();
            table.begin_load();
            for (key, (record, _)) in kept {
                table.put(digest(key), &record)?;
            }
            table.end_load();
            Ok(())
        }
    }
}

/// What the table must say: live keys by number.
type Model = HashMap<u8, u64>;

fn model_after(model: &Model, step: Step, keys_max: usize) -> Model {
    let mut next = model.clone();
    match step {
        Step::Put(key, value) => {
            if next.contains_key(&key) || next.len() < keys_max {
                next.insert(key, value);
            }
        }
        Step::Revoke(key) => {
            next.remove(&key);
        }
        Step::Load(below) => next.retain(|key, _| *key < below),
    }
    next
}

fn live(table: &KeyTable<'_>, key: u8) -> Option<KeyRecord> {
    table
        .find(digest(key))
        .and_then(|(record, is_live)| is_live.then_some(record))
}

fn assert_equals(table: &KeyTable<'_>, model: &Model) {
    for key in 0..KEYS {
        assert_eq!(
            live(table, key),
            model.get(&key).copied().map(record),
            "key {key}"
        );
    }
}

const KEYS: u8 = 24;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..KEYS, 1_u64..1_000).prop_map(|(key, value)| Step::Put(key, value)),
        4 => (0..KEYS).prop_map(Step::Revoke),
        1 => (0..KEYS).prop_map(Step::Load),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn table_equals_a_map(steps in steps(), keys_max in 1_usize..20) {
        let memory = Memory::new(keys_max);
        let mut model = Model::new();
        for step in steps {
            let next = model_after(&model, step, keys_max);
            let is_refused = matches!(step, Step::Put(key, _) if !next.contains_key(&key));
            prop_assert_eq!(apply(step, &memory.table()).is_err(), is_refused);
            model = next;
            assert_equals(&memory.table(), &model);
            prop_assert_eq!(memory.table().live_count(), model.len());
        }
    }

    #[test]
    fn death_before_any_store_leaves_the_old_state_or_the_new(
        steps in steps(), last_steps in prop::collection::vec((0..KEYS, any::<bool>()), 1..4),
        stores in 0_u32..12,
    ) {
        const KEYS_MAX: usize = 12;
        let memory = Memory::new(KEYS_MAX);
        let mut model = Model::new();
        for step in steps {
            let _ = apply(step, &memory.table());
            model = model_after(&model, step, KEYS_MAX);
        }
        for (key, is_put) in last_steps {
            let step = if is_put { Step::Put(key, 7) } else { Step::Revoke(key) };
            let after = model_after(&model, step, KEYS_MAX);
            let ended = run_with_stores(stores, || { let _ = apply(step, &memory.table()); });
            let table = memory.table();
            let now = live(&table, key);
            if ended {
                prop_assert_eq!(now, after.get(&key).copied().map(record));
            }
            if now == after.get(&key).copied().map(record) {
                model = after;
            }
            assert_equals(&table, &model);
            // The next writer begins, as control does, with a load.
            let everything = Step::Load(KEYS);
            prop_assert_eq!(apply(everything, &table), Ok(()));
            assert_equals(&table, &model);
            prop_assert_eq!(table.live_count(), model.len());
        }
    }
}

#[test]
fn death_in_a_load_revokes_nothing_that_the_next_load_puts() {
    let memory = Memory::new(8);
    for key in 0..8 {
        memory
            .table()
            .put(digest(key), &record(key.into()))
            .unwrap();
    }
    for stores in 0..200 {
        let ended = run_with_stores(stores, || apply(Step::Load(8), &memory.table()).unwrap());
        for key in 0..8 {
            assert_eq!(live(&memory.table(), key), Some(record(key.into())));
        }
        if ended {
            return;
        }
    }
    panic!("a load of eight keys ends within 200 stores");
}

#[test]
fn a_revoked_key_is_still_known_as_revoked() {
    let memory = Memory::new(8);
    memory.table().put(digest(1), &record(1)).unwrap();
    assert!(memory.table().revoke(digest(1)));
    assert!(!memory.table().revoke(digest(1)));
    assert_eq!(memory.table().find(digest(1)), Some((record(1), false)));
}

#[test]
fn slots_of_revoked_keys_are_used_again_for_ever() {
    let memory = Memory::new(16);
    for number in 0..10_000_u32 {
        let key = Digest::of(&number.to_le_bytes());
        memory.table().put(key, &record(number.into())).unwrap();
        assert_eq!(
            memory.table().find(key),
            Some((record(number.into()), true))
        );
        assert!(memory.table().revoke(key));
    }
    assert_eq!(memory.table().live_count(), 0);
}

#[test]
fn a_full_table_refuses_new_keys_and_still_replaces_old_ones() {
    let memory = Memory::new(2);
    let table = memory.table();
    table.put(digest(1), &record(1)).unwrap();
    table.put(digest(2), &record(2)).unwrap();
    assert_eq!(
        table.put(digest(3), &record(3)),
        Err(TableFull { keys_max: 2 })
    );
    assert_eq!(table.put(digest(1), &record(9)), Ok(()));
    assert_eq!(live(&table, 1), Some(record(9)));
}

/// Eight keys share a table of four, so that slots change hands under the reader all the time; a
/// key's records say whose they are.
#[test]
fn readers_never_see_a_torn_record_or_that_of_another_key() {
    const SHARING: u64 = 8;
    let memory = Memory::new(4);
    let is_over = AtomicBool::new(false);
    let digests: Vec<Digest> = (0..8).map(digest).collect();
    let read_all = |seen: &mut u32| {
        for (key, digest) in (0_u64..).zip(&digests) {
            if let Some((found, true)) = memory.table().find(*digest) {
                assert_eq!(found, record(found.key_id));
                assert_eq!(found.key_id % SHARING, key);
                *seen += 1;
            }
        }
    };
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0_u32;
            while !is_over.load(Ordering::Relaxed) {
                read_all(&mut seen);
            }
            seen
        });
        for number in 1..400_000_u64 {
            let [key, old] = [number, number + 5].map(|n| usize::try_from(n % SHARING).unwrap());
            memory.table().revoke(digests[old]);
            memory.table().put(digests[key], &record(number)).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
}
