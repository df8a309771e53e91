//! How engines fare, as all workers and control see it: words of the mapped segment, with the
//! clock read for them.
//!
//! Each word is changed by itself: an engine that two processes judge at once may be judged by one
//! outcome less.

use std::sync::atomic::{AtomicU64, Ordering};

use tokenmill_core::counters::{EngineCounter, cumulate_engine};
use tokenmill_core::routing::health::{Cause, Exclusion, Outcomes, Pace, TRIAL_MS, warm_permille};
use tokenmill_core::routing::{Load, Others, PrefixIndex, Recent, Seen, Standing};
use tokenmill_core::segment::EngineWord;

use super::Segment;
use crate::clock;

/// How an engine fares, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineHealth {
    /// Why it is left out or on trial.
    pub cause: Option<Cause>,
    /// Milliseconds until it is on trial; 0: it is, or it is well.
    pub out_ms: u64,
    /// How soon its streams begin, in microseconds; 0: unknown.
    pub first_byte_us: u64,
    /// What that means for the choice of an engine.
    pub standing: Standing,
}

impl Segment {
    /// How an engine stands now.
    pub fn engine_standing(&self, engine: usize, now_ms: u64) -> Standing {
        let out = Exclusion::from_word(self.read(engine, EngineWord::Exclusion));
        if out.cause().is_none() {
            let since_ms = self.engine_since_ms(engine);
            return Standing::Well(warm_permille(since_ms, now_ms));
        }
        let trial_ms = self.read(engine, EngineWord::TrialMs);
        if out.is_out(now_ms) || now_ms < trial_ms.saturating_add(TRIAL_MS) {
            Standing::Out
        } else {
            Standing::Trial
        }
    }

    /// When the engine came back, monotonic milliseconds; 0: it was always there.
    pub fn engine_since_ms(&self, engine: usize) -> u64 {
        self.read(engine, EngineWord::SinceMs)
    }

    /// How busy an engine is now. What it says of requests from elsewhere and what other houses say
    /// that they sent are the same requests, told twice: the larger number counts.
    pub fn engine_load(&self, engine: usize, now_ms: u64) -> Load {
        let seen = Seen::from_word(self.read(engine, EngineWord::Seen), now_ms);
        let others = Others::from_word(self.read(engine, EngineWord::Others), now_ms);
        let under_way = self.engine_under_way(engine, Ordering::Relaxed);
        let recent = Recent::from_word(self.read(engine, EngineWord::Recent));
        let load = seen.load(under_way.requests);
        Load {
            elsewhere: load.elsewhere.max(others.requests),
            unread_bytes: under_way.unread_bytes,
            recent_bytes: recent.bytes(now_ms),
            ..load
        }
    }

    /// Notes that an engine was given so many bytes of a prompt to compute.
    pub fn note_engine_given(&self, engine: usize, bytes: u64, now_ms: u64) {
        self.change(engine, EngineWord::Recent, |word| {
            Recent::from_word(word).after(bytes, now_ms).word()
        });
    }

    /// Notes that a request goes to the engine: if that is on trial, this is the one.
    pub fn note_engine_asked(&self, engine: usize, now_ms: u64) {
        let out = Exclusion::from_word(self.read(engine, EngineWord::Exclusion));
        if out.cause().is_some() && !out.is_out(now_ms) {
            self.engine_word(engine, EngineWord::TrialMs)
                .store(now_ms, Ordering::Relaxed);
        }
    }

    /// Counts the outcome of a request; whether so many failed that it is no accident.
    pub fn note_engine_outcome(&self, engine: usize, is_good: bool, now_ms: u64) -> bool {
        let mut is_failing = false;
        self.change(engine, EngineWord::Outcomes, |word| {
            let outcomes = Outcomes::from_word(word).after(is_good, now_ms);
            is_failing = outcomes.is_failing();
            outcomes.word()
        });
        is_failing
    }

    /// Notes how soon a stream of the engine began.
    pub fn note_engine_pace(&self, engine: usize, first_byte_us: u64, now_ms: u64) {
        for (counter, amount) in EngineCounter::first_byte(first_byte_us / 1_000) {
            self.count_engine(engine, counter, amount);
        }
        self.change(engine, EngineWord::Pace, |word| {
            Pace::from_word(word).after(first_byte_us, now_ms).word()
        });
    }

    /// How soon the engine's streams begin.
    pub fn engine_pace(&self, engine: usize) -> Pace {
        Pace::from_word(self.read(engine, EngineWord::Pace))
    }

    /// Leaves the engine out; whether it was not already.
    pub fn exclude_engine(&self, engine: usize, cause: Cause, now_ms: u64) -> bool {
        let mut is_new = false;
        self.change(engine, EngineWord::Exclusion, |word| {
            let before = Exclusion::from_word(word);
            let after = before.begun(cause, now_ms);
            is_new = after != before;
            after.word()
        });
        if is_new {
            self.count_engine(engine, EngineCounter::ejections(cause), 1);
        }
        is_new
    }

    /// Trusts the engine again, if it was on trial: what was under way when it was left out says
    /// nothing new. One that failed or was slow gets its share step by step; one that merely
    /// refused has all that it had.
    pub fn readmit_engine(&self, engine: usize, now_ms: u64) {
        let out = Exclusion::from_word(self.read(engine, EngineWord::Exclusion));
        let Some(cause) = out.cause().filter(|_| !out.is_out(now_ms)) else {
            return;
        };
        self.change(engine, EngineWord::Exclusion, |word| {
            Exclusion::from_word(word).ended(now_ms).word()
        });
        for word in [EngineWord::Outcomes, EngineWord::Pace] {
            self.engine_word(engine, word).store(0, Ordering::Relaxed);
        }
        if cause != Cause::Refusing {
            self.engine_word(engine, EngineWord::SinceMs)
                .store(now_ms, Ordering::Relaxed);
        }
    }

    /// Begins the engine's record anew. `has_returned`: it was away, so its cache is empty and it
    /// gets its share step by step; else it was always there.
    pub fn begin_engine(&self, engine: usize, has_returned: bool) {
        let since_ms = if has_returned {
            clock::monotonic_ms()
        } else {
            0
        };
        for (word, value) in [
            (EngineWord::Outcomes, 0),
            (EngineWord::Exclusion, 0),
            (EngineWord::Pace, 0),
            (EngineWord::TrialMs, 0),
            (EngineWord::SinceMs, since_ms),
            (EngineWord::Seen, 0),
            (EngineWord::Recent, 0),
        ] {
            self.engine_word(engine, word)
                .store(value, Ordering::Relaxed);
        }
    }

    /// Notes what the engine's own metrics said: requests that it works on and that wait there, and
    /// how full its cache is. Those of this house are known better and are taken off.
    pub fn note_engine_metrics(&self, engine: usize, running: u64, waiting: u64, permille: u64) {
        let in_flight = self.engine_in_flight(engine);
        let elsewhere = (running + waiting).saturating_sub(in_flight);
        let seen = Seen::new(elsewhere, waiting, permille, clock::monotonic_ms());
        self.engine_word(engine, EngineWord::Seen)
            .store(seen.word(), Ordering::Relaxed);
    }

    /// Notes how many requests other houses have with the engine.
    pub fn note_engine_others(&self, engine: usize, requests: u64) {
        let others = Others::new(requests, clock::monotonic_ms());
        self.engine_word(engine, EngineWord::Others)
            .store(others.word(), Ordering::Relaxed);
    }

    /// Adds to a counter of the engine.
    pub fn count_engine(&self, engine: usize, counter: EngineCounter, amount: u64) {
        self.tally(engine)[counter.index()].fetch_add(amount, Ordering::Relaxed);
    }

    /// The engine's counters; buckets of its histogram are cumulative here.
    pub fn engine_totals(&self, engine: usize) -> Vec<u64> {
        let words = self.tally(engine).iter();
        let mut totals: Vec<u64> = words.map(|word| word.load(Ordering::Relaxed)).collect();
        cumulate_engine(&mut totals);
        totals
    }

    /// Another engine has the slot: its counters begin at nothing.
    pub fn clear_engine_totals(&self, engine: usize) {
        for word in self.tally(engine) {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// How the engine fares, for people.
    pub fn engine_health(&self, engine: usize) -> EngineHealth {
        let now_ms = clock::monotonic_ms();
        let out = Exclusion::from_word(self.read(engine, EngineWord::Exclusion));
        EngineHealth {
            cause: out.cause(),
            out_ms: out.left_ms(now_ms),
            first_byte_us: self.engine_pace(engine).mean_us(),
            standing: self.engine_standing(engine, now_ms),
        }
    }

    /// Which engine was sent which beginning of a prompt.
    pub fn prefix_index(&self) -> PrefixIndex<'_> {
        PrefixIndex::new(&self.words()[self.layout.prefixes()])
    }

    fn change(&self, engine: usize, word: EngineWord, mut next: impl FnMut(u64) -> u64) {
        let word = self.engine_word(engine, word);
        let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |value| {
            Some(next(value))
        });
    }

    fn tally(&self, engine: usize) -> &[AtomicU64] {
        &self.words()[self.layout.tally(engine)]
    }

    fn read(&self, engine: usize, word: EngineWord) -> u64 {
        self.engine_word(engine, word).load(Ordering::Relaxed)
    }

    fn engine_word(&self, engine: usize, word: EngineWord) -> &AtomicU64 {
        self.word(self.layout.engine(engine, word))
    }
}
