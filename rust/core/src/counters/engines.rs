//! The counters of one engine: a row a slot of the hot segment that all workers add to.
//!
//! Cheaper than a row for each worker of each engine, and still one atomic addition: an engine's
//! requests are few beside those of a worker. The names are without the engine's: whoever shows a
//! row knows whose it is.

use super::BUCKETS_MS;

/// How an attempt at an engine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineOutcome {
    /// A whole answer.
    Complete,
    /// A status from 300 to 499 but 429: the request was at fault.
    ClientError,
    /// Status 429: it takes no more at this moment.
    Busy,
    /// It says that it takes no requests now: status 503, or words to that effect.
    TurnedAway,
    /// Another status from 500.
    ErrorStatus,
    /// Not connected to.
    Refused,
    /// Not connected to in time.
    ConnectTimeout,
    /// No first byte in time.
    FirstByteTimeout,
    /// Silence in mid-answer.
    Stalled,
    /// The connection ended before the answer did.
    Closed,
    /// It gave up a request that nobody had cancelled.
    Aborted,
    /// An error object inside a stream.
    ErrorEvent,
    /// Not HTTP, not SSE, not JSON.
    Malformed,
    /// An event or answer over its bound.
    TooLarge,
    /// The client or the house gave up: says nothing about the engine.
    Cancelled,
}

const OUTCOMES: usize = 15;
const REQUESTS: usize = 0;
const FIRST_OUTCOME: usize = REQUESTS + 1;
const FIRST_EJECTION: usize = FIRST_OUTCOME + OUTCOMES;
const EJECTIONS: usize = 3;
const RETRIES: usize = FIRST_EJECTION + EJECTIONS;
const FIRST_BUCKET: usize = RETRIES + 1;
const SUM: usize = FIRST_BUCKET + BUCKETS_MS.len() + 1;

/// An index into [`ENGINE_NAMES`] and into an engine's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineCounter(usize);

impl EngineCounter {
    /// How many there are.
    pub const COUNT: usize = ENGINE_NAMES.len();
    /// Requests that the engine was asked.
    pub const REQUESTS: Self = Self(REQUESTS);
    /// Requests that another engine was asked after this one.
    pub const RETRIES: Self = Self(RETRIES);

    /// Attempts that ended so.
    pub const fn outcomes(outcome: EngineOutcome) -> Self {
        Self(FIRST_OUTCOME + outcome as usize)
    }

    /// Times that the engine was left out for this cause.
    pub const fn ejections(cause: crate::routing::health::Cause) -> Self {
        Self(FIRST_EJECTION + cause as usize - 1)
    }

    /// What an observation of a stream's first byte adds to, and by how much.
    pub fn first_byte(value_ms: u64) -> [(Self, u64); 3] {
        let bucket = BUCKETS_MS.partition_point(|bound| *bound < value_ms);
        [
            (Self(FIRST_BUCKET + bucket), 1),
            (Self(SUM), value_ms),
            (Self(SUM + 1), 1),
        ]
    }

    /// Its place in a row.
    pub const fn index(self) -> usize {
        self.0
    }
}

/// Turns the plain bucket counts of an engine's row into cumulative ones, as Prometheus wants them.
pub fn cumulate_engine(row: &mut [u64]) {
    for bucket in FIRST_BUCKET + 1..SUM {
        row[bucket] = row[bucket].wrapping_add(row[bucket - 1]);
    }
}

/// Names of an engine's counters, by index, as Prometheus samples.
pub const ENGINE_NAMES: [&str; 36] = [
    "tokenmill_engine_requests_total",
    r#"tokenmill_engine_outcomes_total{outcome="complete"}"#,
    r#"tokenmill_engine_outcomes_total{outcome="client_error"}"#,
    r#"tokenmill_engine_outcomes_total{outcome="busy"}"#,
    r#"tokenmill_engine_outcomes_total{outcome="turned_away"}"#,
    r#"tokenmill_engine_outcomes_total{outcome="error_status"}"#,
    r#"tokenmill_engine_outcomes_total{outcome="refused"}"#,
    r#"tokenmill_engine_outcomes_total{outcome="connect_timeout"}"#,
    r#"tokenmill_engine_outcomes_total{outcome="first_byte_timeout"}"#,
    r#"tokenmill_engine_outcomes_total{outcome="stalled"}"#,
    r#"tokenmill_engine_outcomes_total{outcome="closed"}"#,
    r#"tokenmill_engine_outcomes_total{outcome="aborted"}"#,
    r#"tokenmill_engine_outcomes_total{outcome="error_event"}"#,
    r#"tokenmill_engine_outcomes_total{outcome="malformed"}"#,
    r#"tokenmill_engine_outcomes_total{outcome="too_large"}"#,
    r#"tokenmill_engine_outcomes_total{outcome="cancelled"}"#,
    r#"tokenmill_engine_ejections_total{cause="refusing"}"#,
    r#"tokenmill_engine_ejections_total{cause="failing"}"#,
    r#"tokenmill_engine_ejections_total{cause="slow"}"#,
    "tokenmill_engine_retries_total",
    r#"tokenmill_engine_first_byte_milliseconds_bucket{le="5"}"#,
    r#"tokenmill_engine_first_byte_milliseconds_bucket{le="10"}"#,
    r#"tokenmill_engine_first_byte_milliseconds_bucket{le="25"}"#,
    r#"tokenmill_engine_first_byte_milliseconds_bucket{le="50"}"#,
    r#"tokenmill_engine_first_byte_milliseconds_bucket{le="100"}"#,
    r#"tokenmill_engine_first_byte_milliseconds_bucket{le="250"}"#,
    r#"tokenmill_engine_first_byte_milliseconds_bucket{le="500"}"#,
    r#"tokenmill_engine_first_byte_milliseconds_bucket{le="1000"}"#,
    r#"tokenmill_engine_first_byte_milliseconds_bucket{le="2500"}"#,
    r#"tokenmill_engine_first_byte_milliseconds_bucket{le="5000"}"#,
    r#"tokenmill_engine_first_byte_milliseconds_bucket{le="10000"}"#,
    r#"tokenmill_engine_first_byte_milliseconds_bucket{le="30000"}"#,
    r#"tokenmill_engine_first_byte_milliseconds_bucket{le="120000"}"#,
    r#"tokenmill_engine_first_byte_milliseconds_bucket{le="+Inf"}"#,
    "tokenmill_engine_first_byte_milliseconds_sum",
    "tokenmill_engine_first_byte_milliseconds_count",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::health::Cause;

    fn name(counter: EngineCounter) -> &'static str {
        ENGINE_NAMES[counter.index()]
    }

    #[test]
    fn indices_and_names_agree() {
        let outcome = |label: &str| format!("tokenmill_engine_outcomes_total{{outcome={label:?}}}");
        let complete = EngineCounter::outcomes(EngineOutcome::Complete);
        assert_eq!(name(complete), outcome("complete"));
        let cancelled = EngineCounter::outcomes(EngineOutcome::Cancelled);
        assert_eq!(name(cancelled), outcome("cancelled"));
        let slow = EngineCounter::ejections(Cause::Slow);
        assert_eq!(
            name(slow),
            r#"tokenmill_engine_ejections_total{cause="slow"}"#
        );
        assert_eq!(
            name(EngineCounter::RETRIES),
            "tokenmill_engine_retries_total"
        );
        for bound in BUCKETS_MS {
            let [(bucket, _), ..] = EngineCounter::first_byte(bound);
            let wanted =
                format!(r#"tokenmill_engine_first_byte_milliseconds_bucket{{le="{bound}"}}"#);
            assert_eq!(name(bucket), wanted);
        }
        let [(open, _), (sum, _), (count, _)] = EngineCounter::first_byte(u64::MAX);
        assert!(name(open).ends_with(r#"{le="+Inf"}"#));
        assert!(name(sum).ends_with("_sum") && name(count).ends_with("_count"));
        assert_eq!(count.index() + 1, EngineCounter::COUNT);
    }

    #[test]
    fn buckets_become_cumulative() {
        let mut row = vec![0; EngineCounter::COUNT];
        for value_ms in [1, 6, 7, 1_000_000] {
            for (counter, amount) in EngineCounter::first_byte(value_ms) {
                row[counter.index()] += amount;
            }
        }
        cumulate_engine(&mut row);
        let at = |bound| row[EngineCounter::first_byte(bound)[0].0.index()];
        assert_eq!([at(5), at(10), at(120_000), at(u64::MAX)], [1, 3, 3, 4]);
        assert_eq!(row[SUM + 1], 4);
    }
}
