//! What a look-up of a key costs as the number of keys grows: CRC32, SHA-256 and one probe, with
//! keys in random order so that the table is as cold as a busy gateway finds it.

use std::hint::black_box;
use std::sync::atomic::AtomicU64;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tokenmill_core::keys::{
    API_KEY_PREFIX, COUNT_WORDS, Digest, KeyRecord, KeyTable, SLOT_WORDS, checksum, find, slots_for,
};

/// A step that visits all keys of a power of ten in no order that a prefetcher knows.
const STRIDE: usize = 7_919;

fn secret(number: usize) -> [u8; 50] {
    let mut text = [0; 50];
    text[..44].copy_from_slice(format!("{API_KEY_PREFIX}{number:036}").as_bytes());
    let end = checksum(&text[..44]);
    text[44..].copy_from_slice(&end);
    text
}

fn zeros(count: usize) -> Vec<AtomicU64> {
    std::iter::repeat_with(|| AtomicU64::new(0))
        .take(count)
        .collect()
}

fn record(key_id: u64) -> KeyRecord {
    KeyRecord {
        key_id,
        account_id: 1,
        tier: 0,
        scopes: 1,
        expires_at_s: 0,
    }
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("key look-up");
    for keys in [10, 10_000, 1_000_000] {
        let (words, counts) = (zeros(slots_for(keys) * SLOT_WORDS), zeros(COUNT_WORDS));
        let table = KeyTable::new(&words, &counts, keys);
        let secrets: Vec<[u8; 50]> = (0..keys).map(secret).collect();
        for (key_id, text) in (0_u64..).zip(&secrets) {
            assert!(table.put(Digest::of(text), &record(key_id)).is_ok());
        }
        let mut at = 0;
        group.bench_function(BenchmarkId::new("live", keys), |bencher| {
            bencher.iter(|| {
                at = (at + STRIDE) % keys;
                black_box(find(&table, &secrets[at], 1))
            });
        });
        let unknown = secret(keys);
        group.bench_function(BenchmarkId::new("unknown", keys), |bencher| {
            bencher.iter(|| black_box(find(&table, &unknown, 1)));
        });
    }
    let (words, counts) = (zeros(slots_for(1) * SLOT_WORDS), zeros(COUNT_WORDS));
    let table = KeyTable::new(&words, &counts, 1);
    let mut junk = secret(0);
    junk[20] = b'x';
    group.bench_function("malformed", |bencher| {
        bencher.iter(|| black_box(find(&table, &junk, 1)));
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
