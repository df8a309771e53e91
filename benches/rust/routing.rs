//! What the choice of an engine costs: by policy and engines of the pool, and with more prefixes
//! held. Hashing the prompt is apart: it grows with the prompt, the choice does not.
//!
//! A pool is laid out as in the hot segment: for each engine a line of words by worker and a line
//! of its own, of which a choice reads what the gateway reads.

use std::hint::black_box;
use std::iter::repeat_with;
use std::ops::{Deref, Range};
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{Bencher, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokenmill_core::routing::{
    Ask, Beginnings, Holder, Load, Members, Policy, PrefixIndex, Recent, Ring, Seen, Standing,
    UnderWay, choose, mixed,
};

/// Words of two cache lines: those of eight workers, and the engine's own.
const WORDS: usize = 16;
const PAGE_BYTES: usize = 4_096;
const RECENT: usize = 8;
const SEEN: usize = 9;
const NOW_MS: u64 = 1_000;

struct Pool {
    words: Words,
    mean: u64,
}

impl Pool {
    fn new(count: usize) -> Self {
        let words = Words::zeros(count * WORDS);
        for (engine, words) in (0..).zip(words.chunks(WORDS)) {
            for (worker, word) in (0..).zip(&words[..RECENT]) {
                let lot = mixed(engine << 8 | worker);
                let change = UnderWay::change((lot % 5).cast_signed(), (lot % 900).cast_signed());
                word.store(change, Ordering::Relaxed);
            }
            let recent = Recent::default().after(mixed(engine) % 400_000, NOW_MS);
            words[RECENT].store(recent.word(), Ordering::Relaxed);
        }
        let mut pool = Self { words, mean: 0 };
        let sum: u64 = (0..count).map(|member| pool.load(member).weight()).sum();
        pool.mean = sum / count as u64;
        pool
    }
}

impl Members for Pool {
    fn count(&self) -> usize {
        self.words.len() / WORDS
    }

    fn is_open(&self, _member: usize) -> bool {
        true
    }

    fn standing(&self, _member: usize) -> Standing {
        Standing::Well(1_000)
    }

    fn load(&self, member: usize) -> Load {
        let words = &self.words[member * WORDS..][..WORDS];
        let read = |at: usize| words[at].load(Ordering::Relaxed);
        let sum = UnderWay::sum((0..RECENT).map(read));
        Load {
            unread_bytes: sum.unread_bytes,
            recent_bytes: Recent::from_word(read(RECENT)).bytes(NOW_MS),
            ..Seen::from_word(read(SEEN), NOW_MS).load(sum.requests)
        }
    }

    fn mean_weight(&self) -> u64 {
        self.mean
    }

    fn holder(&self, holder: Holder) -> Option<usize> {
        (holder.engine < self.count()).then_some(holder.engine)
    }
}

/// Words that begin with a page, as in the hot segment: a set of the table is one cache line.
struct Words {
    all: Vec<AtomicU64>,
    inside: Range<usize>,
}

impl Words {
    fn zeros(count: usize) -> Self {
        let zero = || AtomicU64::new(0);
        let all: Vec<_> = repeat_with(zero).take(count + PAGE_BYTES / 8).collect();
        let first = all.as_ptr().align_offset(PAGE_BYTES);
        Self {
            all,
            inside: first..first + count,
        }
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        &self.all[self.inside.clone()]
    }
}

/// A prompt of eight thousand bytes like no other.
fn prompt(number: u64) -> Beginnings {
    let words = (0..1_000).flat_map(|word| mixed(number << 16 ^ word).to_le_bytes());
    Beginnings::of(&words.collect::<Vec<u8>>(), 1)
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("choice of an engine");
    let prompts: Vec<Beginnings> = (0..4_096).map(prompt).collect();
    for engines in [8, 1_000] {
        let pool = Pool::new(engines);
        let names: Vec<String> = (0..engines).map(|at| format!("engine {at}")).collect();
        let ring = Ring::new(names.iter().map(String::as_str));
        for policy in [Policy::PowerOfTwo, Policy::Session, Policy::Prefix] {
            let words = Words::zeros(1 << 18);
            let index = PrefixIndex::new(&words);
            let mut seed = 0;
            group.bench_function(
                BenchmarkId::new(format!("{policy:?}"), engines),
                |bencher| {
                    bencher.iter(|| {
                        seed += 1;
                        let beginnings =
                            &prompts[usize::try_from(mixed(seed) % 4_096).unwrap_or(0)];
                        let ask = Ask {
                            policy,
                            beginnings,
                            index,
                            ring: &ring,
                            session: Some(mixed(seed)),
                            now_ms: NOW_MS,
                            seed,
                        };
                        let choice = choose(&pool, black_box(&ask));
                        if let (Policy::Prefix, Some(choice)) = (policy, choice) {
                            index.note(beginnings, choice.member, ask.now_ms);
                        }
                        choice
                    });
                },
            );
        }
    }
    group.finish();

    let mut group = criterion.benchmark_group("choice by prefix at 1000 engines, by prefixes held");
    let pool = Pool::new(1_000);
    for held in [1_000_u64, 100_000, 1_000_000] {
        let words = Words::zeros(1 << 21);
        let index = PrefixIndex::new(&words);
        for number in 0..held / 19 {
            let engine = usize::try_from(mixed(number) % 1_000).unwrap_or(0);
            index.note(&prompt(number), engine, NOW_MS);
        }
        group.bench_function(BenchmarkId::from_parameter(held), |bencher| {
            choose_by_prefix(bencher, &pool, index, &prompts);
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("hashes of a prompt's beginnings");
    for bytes in [1_000_usize, 8_000, 256 * 1_024] {
        let text = vec![b'x'; bytes];
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::from_parameter(bytes), |bencher| {
            bencher.iter(|| Beginnings::of(black_box(&text), 1));
        });
    }
    group.finish();
}

/// Times a choice for one after another of the prompts, by lot.
fn choose_by_prefix(
    bencher: &mut Bencher,
    pool: &Pool,
    index: PrefixIndex,
    prompts: &[Beginnings],
) {
    let ring = Ring::default();
    let mut seed = 0;
    bencher.iter(|| {
        seed += 1;
        let lot = mixed(seed) % prompts.len() as u64;
        let ask = Ask {
            policy: Policy::Prefix,
            beginnings: &prompts[usize::try_from(lot).unwrap_or(0)],
            index,
            ring: &ring,
            session: None,
            now_ms: NOW_MS,
            seed,
        };
        choose(pool, black_box(&ask))
    });
}

/// Prompts that many engines hold.
fn bench_famous(criterion: &mut Criterion) {
    let pool = Pool::new(1_000);
    let famous: Vec<Beginnings> = (0..60).map(prompt).collect();
    let mut group =
        criterion.benchmark_group("choice by prefix at 1000 engines, of famous prompts");
    for holders in [4, 100, 1_000] {
        let words = Words::zeros(1 << 18);
        let index = PrefixIndex::new(&words);
        for beginnings in &famous {
            (0..holders).for_each(|engine| index.note(beginnings, engine, NOW_MS));
        }
        group.bench_function(BenchmarkId::from_parameter(holders), |bencher| {
            choose_by_prefix(bencher, &pool, index, &famous);
        });
    }
    group.finish();
}

criterion_group!(benches, bench, bench_famous);
criterion_main!(benches);
