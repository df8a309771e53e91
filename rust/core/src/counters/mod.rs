//! The counters of the hot segment: a fixed list, each with the name of its Prometheus sample.
//!
//! Counting is one atomic addition at an index; nothing here knows who counts. Histograms are kept
//! as plain counts per bucket and summed up to Prometheus' cumulative ones when they are read.

mod engines;
mod names;

pub use engines::{ENGINE_NAMES, EngineCounter, EngineOutcome, cumulate_engine};
pub use names::NAMES;

use crate::keys::crc32;

/// A kind of request, as far as counting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/chat/completions`
    ChatCompletions,
    /// `/completions`
    Completions,
    /// `/embeddings`
    Embeddings,
    /// `/models` and what is under it
    Models,
    /// `/health` and `/livez`
    Health,
    /// Everything that control answers.
    Control,
}

/// What became of an attempt to get an answer from an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineError {
    /// The pool was empty.
    NoEngine,
    /// The connection was refused or broke before the request was sent.
    Refused,
    /// No connection in time.
    ConnectTimeout,
    /// No first byte in time.
    FirstByteTimeout,
    /// Silence in mid-answer.
    Stalled,
    /// The connection ended before the answer did.
    Closed,
    /// The engine gave up a request that nobody had cancelled.
    Aborted,
    /// An error object inside a stream.
    ErrorEvent,
    /// An answer with status 5xx.
    ErrorStatus,
    /// Not HTTP, not SSE, not JSON.
    Malformed,
    /// An event or answer over its bound.
    TooLarge,
}

/// Why a request was refused for its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// No key was sent.
    Missing,
    /// See [`crate::keys::KeyRefusal`].
    Malformed,
    /// See [`crate::keys::KeyRefusal`].
    Unknown,
    /// See [`crate::keys::KeyRefusal`].
    Revoked,
    /// See [`crate::keys::KeyRefusal`].
    Expired,
    /// The key lives but may not do this.
    Scope,
}

/// A distribution of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Histogram {
    /// From the request to the first byte of the engine's answer.
    FirstByteMs,
    /// From the request to the end of the answer.
    DurationMs,
    /// How long those who found no place at an engine waited for one.
    WaitMs,
}

/// Upper bounds of the buckets of every histogram; one more bucket has none. From a cached
/// embedding on this machine to a long generation, a factor of two or two and a half apart.
pub const BUCKETS_MS: [u64; 13] = [
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 120_000,
];

const STATUS_CLASSES: usize = 4;
const REQUESTS: usize = 0;
const ENGINE_ERRORS: usize = REQUESTS + 6 * STATUS_CLASSES;
const KEY_REFUSALS: usize = ENGINE_ERRORS + 11;
const SINGLES: usize = KEY_REFUSALS + 6;
/// Refusals by reason, then what would have been refused: counted by name, from Python.
const REFUSALS: usize = SINGLES + 15;
const HISTOGRAMS: usize = REFUSALS + 18;
/// Buckets with the open one, the sum, the count.
const HISTOGRAM_WORDS: usize = BUCKETS_MS.len() + 3;

/// An index into [`NAMES`] and into a worker's row of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter(usize);

impl Counter {
    /// How many there are.
    pub const COUNT: usize = NAMES.len();

    /// Streams begun.
    pub const STREAMS: Self = Self(SINGLES);
    /// Prompt tokens by the engines' own count.
    pub const PROMPT_TOKENS: Self = Self(SINGLES + 1);
    /// Completion tokens by the engines' own count.
    pub const COMPLETION_TOKENS: Self = Self(SINGLES + 2);
    /// Prompt tokens that the engine had in its cache.
    pub const CACHED_TOKENS: Self = Self(SINGLES + 3);
    /// Clients that went before their answer ended.
    pub const CLIENT_DISCONNECTS: Self = Self(SINGLES + 4);
    /// Clients that were cut because they did not read.
    pub const CLIENT_STALLS: Self = Self(SINGLES + 5);
    /// Answers that a drain deadline cut.
    pub const DRAINED: Self = Self(SINGLES + 6);
    /// Requests that were tried again on another connection or engine.
    pub const RETRIES: Self = Self(SINGLES + 7);
    /// Events relayed in streams.
    pub const FRAMES: Self = Self(SINGLES + 8);
    /// Turns of the relay: frames divided by this is how many left together.
    pub const WAKEUPS: Self = Self(SINGLES + 9);
    /// Bytes received from engines.
    pub const UPSTREAM_BYTES: Self = Self(SINGLES + 10);
    /// Bytes handed to clients.
    pub const DOWNSTREAM_BYTES: Self = Self(SINGLES + 11);
    /// Bytes of request bodies received.
    pub const REQUEST_BYTES: Self = Self(SINGLES + 12);
    /// Complete answers of engines that told no usage: billed nothing.
    pub const UNMETERED: Self = Self(SINGLES + 13);
    /// Streams that a second engine was asked for while the first had not begun.
    pub const HEDGES: Self = Self(SINGLES + 14);

    /// Requests of a kind that were answered with `status`.
    pub const fn requests(endpoint: Endpoint, status: u16) -> Self {
        let class = match status {
            0..=299 => 0,
            300..=399 => 1,
            400..=499 => 2,
            _ => 3,
        };
        Self(REQUESTS + endpoint as usize * STATUS_CLASSES + class)
    }

    /// Failures of engines of one kind.
    pub const fn engine_errors(kind: EngineError) -> Self {
        Self(ENGINE_ERRORS + kind as usize)
    }

    /// Requests refused for their key.
    pub const fn key_refusals(fault: KeyFault) -> Self {
        Self(KEY_REFUSALS + fault as usize)
    }

    /// The counter at `index` of [`NAMES`].
    pub const fn from_index(index: usize) -> Option<Self> {
        if index < Self::COUNT {
            Some(Self(index))
        } else {
            None
        }
    }

    /// Its place in a row.
    pub const fn index(self) -> usize {
        self.0
    }

    /// The name of its Prometheus sample, labels included.
    pub const fn name(self) -> &'static str {
        NAMES[self.0]
    }
}

impl Histogram {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::FirstByteMs, Self::DurationMs, Self::WaitMs];

    /// The counters that an observation adds to, and by how much.
    pub fn observe(self, value_ms: u64) -> [(Counter, u64); 3] {
        let first = self.first();
        let bucket = BUCKETS_MS.partition_point(|bound| *bound < value_ms);
        let sum = first + BUCKETS_MS.len() + 1;
        [
            (Counter(first + bucket), 1),
            (Counter(sum), value_ms),
            (Counter(sum + 1), 1),
        ]
    }

    const fn first(self) -> usize {
        HISTOGRAMS + self as usize * HISTOGRAM_WORDS
    }
}

/// Turns the plain bucket counts of summed rows into cumulative ones, as Prometheus wants them.
pub fn cumulate(totals: &mut [u64]) {
    for histogram in Histogram::ALL {
        let first = histogram.first();
        for bucket in first + 1..=first + BUCKETS_MS.len() {
            totals[bucket] = totals[bucket].wrapping_add(totals[bucket - 1]);
        }
    }
}

/// A checksum of the lists: processes whose lists differ must not share rows.
pub fn names_checksum() -> u32 {
    crc32(
        [NAMES.join("\n"), ENGINE_NAMES.join("\n")]
            .concat()
            .as_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_and_names_agree() {
        let name = |counter: Counter| counter.name();
        let requests = Counter::requests(Endpoint::Control, 503);
        assert_eq!(
            name(requests),
            r#"tokenmill_requests_total{endpoint="control",status="5xx"}"#
        );
        let first = Counter::requests(Endpoint::ChatCompletions, 200);
        assert_eq!(
            name(first),
            r#"tokenmill_requests_total{endpoint="chat_completions",status="2xx"}"#
        );
        let error = Counter::engine_errors(EngineError::TooLarge);
        assert_eq!(
            name(error),
            r#"tokenmill_engine_errors_total{kind="too_large"}"#
        );
        let refusal = Counter::key_refusals(KeyFault::Scope);
        assert_eq!(
            name(refusal),
            r#"tokenmill_key_refusals_total{reason="scope"}"#
        );
        assert_eq!(name(Counter::STREAMS), "tokenmill_streams_total");
        assert_eq!(
            name(Counter::REQUEST_BYTES),
            "tokenmill_request_bytes_total"
        );
        assert_eq!(name(Counter::UNMETERED), "tokenmill_unmetered_total");
        let [(bucket, _), (sum, _), (count, _)] = Histogram::WaitMs.observe(999_999);
        assert_eq!(
            name(bucket),
            r#"tokenmill_wait_milliseconds_bucket{le="+Inf"}"#
        );
        assert_eq!(name(sum), "tokenmill_wait_milliseconds_sum");
        assert_eq!(name(count), "tokenmill_wait_milliseconds_count");
        assert_eq!(count.index() + 1, Counter::COUNT);
    }

    #[test]
    fn refusals_stand_behind_the_single_counters() {
        assert_eq!(
            NAMES[REFUSALS],
            r#"tokenmill_refusals_total{reason="no_account"}"#
        );
        assert_eq!(
            NAMES[HISTOGRAMS - 1],
            r#"tokenmill_shadow_refusals_total{reason="overloaded"}"#
        );
    }

    #[test]
    fn bucket_names_follow_the_bounds() {
        for bound in BUCKETS_MS {
            let [(bucket, _), ..] = Histogram::FirstByteMs.observe(bound);
            let name = format!(r#"tokenmill_first_byte_milliseconds_bucket{{le="{bound}"}}"#);
            assert_eq!(bucket.name(), name);
        }
    }

    #[test]
    fn names_are_unique() {
        let unique: std::collections::HashSet<_> = NAMES.iter().collect();
        assert_eq!(unique.len(), NAMES.len());
    }

    #[test]
    fn buckets_become_cumulative() {
        let mut totals = vec![0; Counter::COUNT];
        for value_ms in [1, 5, 6, 40, 1_000_000] {
            for (counter, amount) in Histogram::FirstByteMs.observe(value_ms) {
                totals[counter.index()] += amount;
            }
        }
        cumulate(&mut totals);
        let at = |bound| totals[Histogram::FirstByteMs.observe(bound)[0].0.index()];
        assert_eq!(
            [at(5), at(10), at(25), at(50), at(120_000)],
            [2, 3, 3, 4, 4]
        );
        let [(open, _), (sum, _), (count, _)] = Histogram::FirstByteMs.observe(999_999);
        assert_eq!((totals[open.index()], totals[count.index()]), (5, 5));
        assert_eq!(totals[sum.index()], 1_000_052);
    }
}
