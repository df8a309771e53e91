//! What the choice of an engine costs: by policy and engines of the pool, and with more prefixes
//! held. Hashing the prompt is apart: it grows with the prompt, the choice does not.

use std::hint::black_box;
use std::sync::atomic::AtomicU64;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokenmill_core::routing::{
    Ask, Beginnings, Holder, Members, Policy, PrefixIndex, REQUEST, Ring, Standing, choose, mixed,
};

struct Pool {
    weights: Vec<u64>,
    mean: u64,
}

impl Pool {
    fn new(count: usize) -> Self {
        let weights: Vec<u64> = (0..count as u64)
            .map(|at| mixed(at) % 40 * REQUEST)
            .collect();
        let mean = weights.iter().sum::<u64>() / count as u64;
        Self { weights, mean }
    }
}

impl Members for Pool {
    fn count(&self) -> usize {
        self.weights.len()
    }

    fn is_open(&self, _member: usize) -> bool {
        true
    }

    fn standing(&self, _member: usize) -> Standing {
        Standing::Well(1_000)
    }

    fn weight(&self, member: usize) -> u64 {
        self.weights[member]
    }

    fn mean_weight(&self) -> u64 {
        self.mean
    }

    fn holder(&self, holder: Holder) -> Option<usize> {
        (holder.engine < self.weights.len()).then_some(holder.engine)
    }
}

fn zeros(count: usize) -> Vec<AtomicU64> {
    std::iter::repeat_with(|| AtomicU64::new(0))
        .take(count)
        .collect()
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
            let words = zeros(1 << 18);
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
                            now_ms: 1_000,
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
    let (pool, ring) = (Pool::new(1_000), Ring::default());
    for held in [1_000_u64, 100_000, 1_000_000] {
        let words = zeros(1 << 21);
        let index = PrefixIndex::new(&words);
        for number in 0..held / 19 {
            let engine = usize::try_from(mixed(number) % 1_000).unwrap_or(0);
            index.note(&prompt(number), engine, 1_000);
        }
        let mut seed = 0;
        group.bench_function(BenchmarkId::from_parameter(held), |bencher| {
            bencher.iter(|| {
                seed += 1;
                let ask = Ask {
                    policy: Policy::Prefix,
                    beginnings: &prompts[usize::try_from(mixed(seed) % 4_096).unwrap_or(0)],
                    index,
                    ring: &ring,
                    session: None,
                    now_ms: 1_000,
                    seed,
                };
                choose(&pool, black_box(&ask))
            });
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

criterion_group!(benches, bench);
criterion_main!(benches);
