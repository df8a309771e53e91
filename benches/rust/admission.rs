//! What the money of one request costs natively: the permit, admission, one usage, settlement, and
//! the keeper's freeing of the cell, in a mapped segment.
//!
//! On one core with accounts in random order, out of ten and out of a million; and by eight
//! processes that all pay from one account, for which the bench starts itself: on one core, and on
//! all there are, where the account's cache line goes from core to core. All times are processor
//! time, so that other work on the machine counts less; of all eight, in the last cases.

use std::error::Error;
use std::io::{BufRead, BufReader, Write, stdin};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use tokenmill_core::segment::Sizes;
use tokenmill_core::wallet::{Claimer, Ending, Price, Request, Terms, Tokens};
use tokenmill_io::clock;
use tokenmill_io::segment::Segment;

type Failure = Box<dyn Error>;

const PROCESSES: u64 = 8;
/// A step that visits all accounts of a power of ten in no order that a prefetcher knows.
const STRIDE: u64 = 7_919;
/// Accounts of the cases with several processes: one each time, as a limit of 100 million a minute
/// is soon reached.
const ROUNDS_MAX: u64 = 1_000;
/// Requests of each process before it is measured: its pages and caches are cold.
const WARM_UP: u32 = 5_000;
/// Set in the environment of the processes that the bench starts: the segment's path.
const CHILD: &str = "TOKENMILL_BENCH_SEGMENT";

fn segment(path: &Path, accounts: u64) -> Result<Segment, Failure> {
    let sizes = Sizes {
        keys_max: 1,
        workers_max: 8,
        engines_max: 1,
        accounts_max: usize::try_from(accounts)? + 1,
        cells_max: 32_768,
    };
    let segment = Segment::create(path, sizes).map_err(|error| format!("{error:?}"))?;
    let terms = Terms {
        requests_per_min: 100_000_000,
        tokens_per_min: 100_000_000,
        concurrency_max: 0,
        weight: 1,
        is_enabled: true,
    };
    for account in 1..=accounts {
        let is_new = segment.put_account(account, &terms, 1_000_000_000_000_000);
        assert_eq!(is_new, Ok(true));
    }
    Ok(segment)
}

/// The life of a request in the wallet.
fn pay(segment: &Segment, cells: &mut Claimer, account_id: u64) {
    let now_ns = clock::monotonic_ns();
    let request = Request {
        account_id,
        key_id: 1,
        model: 7,
        price: Price {
            prompt: 100,
            cached: 100,
            completion: 100,
        },
        reserve: 60_000,
        // Few, so that no limit is reached: what is taken and corrected costs the same.
        tokens_estimate: 5,
        began_wall_ms: 1_800_000_000_000,
        began_ns: now_ns,
        ..Request::default()
    };
    assert_eq!(segment.take_request(account_id), Ok(()));
    let admitted = segment.admit(cells, &request, true);
    let Ok(admitted) = admitted else {
        panic!("account {account_id} was refused: {admitted:?}");
    };
    let used = Tokens {
        prompt: 1,
        cached: 0,
        completion: 1,
    };
    segment.meter(admitted.hold, used);
    let ending = Ending {
        status: 200,
        engine: 0,
        first_byte_ms: Some(1),
        wall_ms: 1_800_000_000_001,
        now_ns,
        prompt_estimate: None,
    };
    assert_eq!(segment.settle(admitted.hold, &ending), 200);
    assert!(segment.free_cell(admitted.hold.ticket()));
}

fn bench(criterion: &mut Criterion) {
    if let Err(error) = measure(criterion) {
        panic!("{error}");
    }
}

fn measure(criterion: &mut Criterion) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group("admit and settle");
    group.throughput(Throughput::Elements(1));
    for accounts in [10, 1_000_000] {
        let folder = tempfile::tempdir()?;
        let segment = segment(&folder.path().join("segment"), accounts)?;
        let mut cells = Claimer::new(0);
        let mut at = 0;
        group.bench_function(BenchmarkId::new("accounts", accounts), |bencher| {
            bencher.iter_custom(|count| {
                let began_ns = processor_ns();
                for _ in 0..count {
                    at = (at + STRIDE) % accounts;
                    pay(&segment, &mut cells, at + 1);
                }
                Duration::from_nanos(processor_ns() - began_ns)
            });
        });
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("segment");
    let kept = segment(&path, ROUNDS_MAX)?;
    let mut account = 0;
    group.sample_size(10);
    for (name, is_pinned) in [
        ("processes on one account and core", true),
        ("processes on one account", false),
    ] {
        group.bench_function(BenchmarkId::new(name, PROCESSES), |bencher| {
            bencher.iter_custom(|count| {
                account += 1;
                match together(&path, account, count, is_pinned) {
                    Ok(used) => used,
                    Err(error) => panic!("{error}"),
                }
            });
        });
    }
    drop(kept);
    group.finish();
    Ok(())
}

/// The processor time of `count` requests of an account, paid by all processes at once.
fn together(path: &Path, account: u64, count: u64, is_pinned: bool) -> Result<Duration, Failure> {
    let mut children: Vec<Child> = (0..PROCESSES)
        .map(|slot| {
            Command::new(std::env::current_exe()?)
                .args([slot, account, count.div_ceil(PROCESSES)].map(|number| number.to_string()))
                .args(is_pinned.then_some("pinned"))
                .env(CHILD, path)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
        })
        .collect::<Result<_, _>>()?;
    let mut lines = Vec::new();
    for child in &mut children {
        let mut said = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        said.next().ok_or("a process did not start")??;
        lines.push(said);
    }
    for child in &mut children {
        child.stdin.take().ok_or("no input")?.write_all(b"go\n")?;
    }
    let mut used_ns = 0;
    for (child, said) in children.iter_mut().zip(&mut lines) {
        used_ns += said.next().ok_or("a process died")??.parse::<u64>()?;
        child.wait()?;
    }
    let made = count.div_ceil(PROCESSES) * PROCESSES;
    Ok(Duration::from_nanos(used_ns * count / made))
}

/// One of several processes: prints that it is there, waits for the word, prints its nanoseconds.
fn pay_in_child(path: &str) -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let slot = words.next().ok_or("no slot")?.parse()?;
    let account = words.next().ok_or("no account")?.parse()?;
    let count = words.next().ok_or("no count")?.parse::<u64>()?;
    if words.next().is_some() {
        let mut first = CpuSet::new();
        first.set(0);
        sched_setaffinity(None, &first)?;
    }
    let segment = Segment::attach(Path::new(path)).map_err(|error| format!("{error:?}"))?;
    let mut cells = Claimer::new(slot);
    for _ in 0..WARM_UP {
        pay(&segment, &mut cells, account);
    }
    println!("here");
    stdin().read_line(&mut String::new())?;
    let began_ns = processor_ns();
    for _ in 0..count {
        pay(&segment, &mut cells, account);
    }
    println!("{}", processor_ns() - began_ns);
    Ok(())
}

fn processor_ns() -> u64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec.unsigned_abs() * 1_000_000_000 + used.tv_nsec.unsigned_abs()
}

criterion_group!(benches, bench);

fn main() -> Result<(), Failure> {
    if let Ok(path) = std::env::var(CHILD) {
        return pay_in_child(&path);
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    Ok(())
}
