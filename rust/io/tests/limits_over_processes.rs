//! Eight processes that hammer accounts together get exactly what the buckets give, of requests as
//! of tokens, estimates and corrections included.
//!
//! `TOKENMILL_TEST_LIMIT_SECONDS` says for how long (180 for three windows; two unless it is set).
//! Each process asks a thousand times a second for both. How late permits were taken is printed.

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokenmill_core::segment::Sizes;
use tokenmill_core::wallet::{Claimer, Ending, Price, Refusal, Request, Terms, Tokens};
use tokenmill_io::clock;
use tokenmill_io::segment::Segment;

type Failure = Box<dyn Error>;

const PROCESSES: u16 = 8;
const PAUSE: Duration = Duration::from_millis(1);
const SECOND_NS: u64 = 1_000_000_000;
/// An account of tier standard whose tokens are not limited, and one of tier free whose requests
/// are not.
const BY_REQUESTS: (u64, u32) = (1, 60);
const BY_TOKENS: (u64, u32) = (2, 40_000);
const CHILD: &str = "TOKENMILL_TEST_LIMITED_SEGMENT";

/// What one process got.
#[derive(Default)]
struct Got {
    asked: u64,
    requests: u64,
    tokens: u64,
    /// When permits for requests were taken.
    at_ns: Vec<u64>,
}

fn segment(path: &Path) -> Result<Segment, Failure> {
    let sizes = Sizes {
        keys_max: 1,
        workers_max: usize::from(PROCESSES) + 1,
        engines_max: 1,
        accounts_max: 3,
        cells_max: 256,
    };
    let segment = Segment::create(path, sizes).map_err(|error| format!("{error:?}"))?;
    for (account, requests_per_min, tokens_per_min) in [
        (BY_REQUESTS.0, BY_REQUESTS.1, 0),
        (BY_TOKENS.0, 0, BY_TOKENS.1),
    ] {
        let terms = Terms {
            requests_per_min,
            tokens_per_min,
            concurrency_max: 0,
            weight: 1,
            is_enabled: true,
        };
        assert_eq!(segment.put_account(account, &terms, 0), Ok(true));
    }
    Ok(segment)
}

/// A request that is estimated at some tokens and uses others; what it used, or how long to wait.
fn use_tokens(
    segment: &Segment,
    cells: &mut Claimer,
    estimate: u64,
    used: u32,
) -> Result<u64, u64> {
    let now_ns = clock::monotonic_ns();
    let request = Request {
        account_id: BY_TOKENS.0,
        price: Price::default(),
        tokens_estimate: estimate,
        began_ns: now_ns,
        ..Request::default()
    };
    let admitted = match segment.admit(cells, &request, true) {
        Ok(admitted) => admitted,
        Err(Refusal::Tokens { wait_ns }) => return Err(wait_ns),
        Err(other) => panic!("{other:?}"),
    };
    let tokens = Tokens {
        prompt: 0,
        cached: 0,
        completion: used,
    };
    segment.meter(admitted.hold, tokens);
    let ending = Ending {
        status: 200,
        engine: 0,
        first_byte_ms: None,
        wall_ms: 0,
        now_ns: clock::monotonic_ns(),
        prompt_estimate: None,
    };
    segment.settle(admitted.hold, &ending);
    assert!(segment.free_cell(admitted.hold.ticket()));
    Ok(tokens.total())
}

/// Asks for both, a thousand times a second.
fn hammer(segment: &Segment, slot: u16, seconds: u64) -> Got {
    let (mut got, mut cells) = (Got::default(), Claimer::new(slot));
    let ends_ns = clock::monotonic_ns() + seconds * SECOND_NS;
    while clock::monotonic_ns() < ends_ns {
        got.asked += 1;
        if segment.take_request(BY_REQUESTS.0).is_ok() {
            got.requests += 1;
            got.at_ns.push(clock::monotonic_ns());
        }
        // Estimates that are too high and too low, and some that are right.
        let estimate = 20 + got.asked % 40;
        let used = u32::try_from(10 + got.asked * 7 % 60).unwrap_or(0);
        got.tokens += use_tokens(segment, &mut cells, estimate, used).unwrap_or(0);
        std::thread::sleep(PAUSE);
    }
    got
}

/// Takes what is there, once a debt is paid back; how much.
fn drain(segment: &Segment, got: &mut Got) {
    let mut cells = Claimer::new(PROCESSES);
    while segment.take_request(BY_REQUESTS.0).is_ok() {
        got.requests += 1;
    }
    let mut has_taken = false;
    loop {
        match use_tokens(segment, &mut cells, 1, 1) {
            Ok(used) => {
                got.tokens += used;
                has_taken = true;
            }
            Err(_) if has_taken => return,
            Err(wait_ns) => std::thread::sleep(Duration::from_nanos(wait_ns)),
        }
    }
}

fn seconds() -> u64 {
    let asked = std::env::var("TOKENMILL_TEST_LIMIT_SECONDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(2)
}

fn given(per_min: u32, elapsed_ns: u64) -> u64 {
    let refilled = u128::from(per_min) * u128::from(elapsed_ns) / u128::from(60 * SECOND_NS);
    u64::from(per_min) + u64::try_from(refilled).unwrap_or(u64::MAX)
}

#[test]
fn together_they_get_exactly_what_the_buckets_give() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("segment");
    let segment = segment(&path)?;
    let began_ns = clock::monotonic_ns();
    let mut got = Got::default();
    drain(&segment, &mut got);
    let empty_ns = clock::monotonic_ns(); // from here on nothing is ever full: nothing is lost
    let children: Vec<Child> = (0..PROCESSES)
        .map(|slot| {
            Command::new(std::env::current_exe()?)
                .args([
                    "--ignored",
                    "--exact",
                    "one_of_the_processes",
                    "--nocapture",
                ])
                .env(CHILD, format!("{slot} {}", path.display()))
                .stdout(Stdio::piped())
                .spawn()
        })
        .collect::<Result<_, _>>()?;
    for child in children {
        let output = child.wait_with_output()?;
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout)?;
        let line = text.lines().find_map(|line| line.split_once("got: "));
        let numbers = line.ok_or("a process said nothing")?.1.split_whitespace();
        let numbers: Vec<u64> = numbers.map(str::parse).collect::<Result<_, _>>()?;
        got.asked += numbers[0];
        got.requests += numbers[1];
        got.tokens += numbers[2];
        got.at_ns.extend(&numbers[3..]);
    }
    let before_ns = clock::monotonic_ns() - empty_ns;
    drain(&segment, &mut got);
    let after_ns = clock::monotonic_ns() - began_ns;
    for (per_min, taken) in [(BY_REQUESTS.1, got.requests), (BY_TOKENS.1, got.tokens)] {
        let bounds = given(per_min, before_ns)..=given(per_min, after_ns);
        assert!(bounds.contains(&taken), "{taken} of {bounds:?}");
    }
    println!(
        "{PROCESSES} processes asked {} times in {} s: {} requests and {} tokens, as the buckets \
         give; a permit waited {} ms at most",
        got.asked,
        after_ns / SECOND_NS,
        got.requests,
        got.tokens,
        latest_ms(&mut got.at_ns, began_ns),
    );
    Ok(())
}

/// How long after it was there a permit was taken, at worst, once the first process ran.
fn latest_ms(at_ns: &mut [u64], began_ns: u64) -> u64 {
    at_ns.sort_unstable();
    let every_ns = 60 * SECOND_NS / u64::from(BY_REQUESTS.1);
    let late = at_ns.windows(2).map(|pair| (pair[1] - began_ns) % every_ns);
    late.max().unwrap_or(0) / 1_000_000
}

/// No test of its own: what the other one starts.
#[test]
#[ignore = "a part of the other test"]
fn one_of_the_processes() -> Result<(), Failure> {
    let Ok(told) = std::env::var(CHILD) else {
        return Ok(());
    };
    let (slot, path) = told.split_once(' ').ok_or("no path")?;
    let segment = Segment::attach(Path::new(path)).map_err(|error| format!("{error:?}"))?;
    let got = hammer(&segment, slot.parse()?, seconds());
    let times: Vec<String> = got.at_ns.iter().map(u64::to_string).collect();
    println!(
        "got: {} {} {} {}",
        got.asked,
        got.requests,
        got.tokens,
        times.join(" ")
    );
    Ok(())
}
