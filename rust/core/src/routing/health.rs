//! How engines fare, from the outcomes of requests: when one is left out, tried again, trusted.
//!
//! ```text
//!            refused, 503, says that it is leaving: at once
//!            five failures in a row, or half of its requests: unless half of the pool is out
//!            far slower than its pool: the slowest alone
//!   well  ------------------------------------------------------------------------->  out
//!    ^                                                                                 |
//!    |  one request went well                       its time is over (1 s, 2 s, … 30 s)|
//!    +------------------------------------  on trial  <--------------------------------+
//!                                          one request a second
//! ```
//! One that comes back is given its share of requests step by step. Each part is a word, so that
//! all workers see the same; two that write at once lose one outcome, which changes nothing.

/// Why an engine is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It takes no connections or says that it takes no requests.
    Refusing = 1,
    /// Too many of its requests fail.
    Failing = 2,
    /// It is far slower than its pool.
    Slow = 3,
}

/// Failures one after the other that are no accident.
const STREAK: u64 = 5;
/// Failures in one stretch of time that count if they are half of its outcomes.
const FAILURES: u64 = 5;
/// A stretch of time that outcomes are counted in.
const STRETCH_MS: u64 = 10_000;

/// How long an engine is left out the first time, by cause; each further time doubles it.
const REFUSING_MS: u64 = 1_000;
const FAILING_MS: u64 = 5_000;
const OUT_MS_MAX: u64 = 30_000;
/// After so long a time without a failure the next one is the first again.
const FORGIVEN_MS: u64 = 60_000;
/// Between two trials of an engine.
pub const TRIAL_MS: u64 = 1_000;

/// How long an engine that came back is spared, and its share at the beginning.
const WARM_MS: u64 = 10_000;
const WARM_PERMILLE_MIN: u64 = 100;
/// The share of an engine that is not spared.
pub const WHOLE_PERMILLE: u64 = 1_000;

/// Outcomes of an engine's requests in the present stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes {
    stretch: u64,
    good: u64,
    bad: u64,
    streak: u64,
}

impl Outcomes {
    /// As they lie in a word.
    pub fn from_word(word: u64) -> Self {
        let part = |at: u32| word >> (16 * at) & 0xffff;
        Self {
            stretch: part(0),
            good: part(1),
            bad: part(2),
            streak: part(3),
        }
    }

    /// The word.
    pub fn word(self) -> u64 {
        let parts = [self.stretch & 0xffff, self.good, self.bad, self.streak];
        (0..)
            .zip(parts)
            .fold(0, |word, (at, part)| word | part.min(0xffff) << (16 * at))
    }

    /// After one more outcome.
    #[must_use]
    pub fn after(self, is_good: bool, now_ms: u64) -> Self {
        let stretch = (now_ms / STRETCH_MS) & 0xffff;
        let (good, bad) = if stretch == self.stretch {
            (self.good, self.bad)
        } else {
            (0, 0)
        };
        Self {
            stretch,
            good: good + u64::from(is_good),
            bad: bad + u64::from(!is_good),
            streak: if is_good { 0 } else { self.streak + 1 },
        }
    }

    /// Whether so many failed that it is no accident.
    pub fn is_failing(self) -> bool {
        self.streak >= STREAK || (self.bad >= FAILURES && self.bad >= self.good)
    }
}

/// Whether an engine is left out, and until when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exclusion {
    cause: Option<Cause>,
    /// Times in a row that it was left out.
    times: u64,
    /// Of the last time.
    until_ms: u64,
}

impl Exclusion {
    /// As it lies in a word.
    pub fn from_word(word: u64) -> Self {
        Self {
            cause: match word & 0xff {
                1 => Some(Cause::Refusing),
                2 => Some(Cause::Failing),
                3 => Some(Cause::Slow),
                _ => None,
            },
            times: word >> 8 & 0xff,
            until_ms: word >> 16,
        }
    }

    /// The word.
    pub fn word(self) -> u64 {
        self.cause.map_or(0, |cause| cause as u64) | self.times.min(0xff) << 8 | self.until_ms << 16
    }

    /// Left out from now on; again, if it was: then for longer.
    #[must_use]
    pub fn begun(self, cause: Cause, now_ms: u64) -> Self {
        if self.cause.is_some() && now_ms < self.until_ms {
            return self; // requests that were under way: they say nothing new
        }
        let is_new = now_ms.saturating_sub(self.until_ms) > FORGIVEN_MS;
        let times = if is_new {
            1
        } else {
            (self.times + 1).min(0xff)
        };
        let first_ms = if cause == Cause::Refusing {
            REFUSING_MS
        } else {
            FAILING_MS
        };
        let out_ms = first_ms
            .saturating_mul(1 << (times - 1).min(8))
            .min(OUT_MS_MAX);
        Self {
            cause: Some(cause),
            times,
            until_ms: now_ms + out_ms,
        }
    }

    /// Trusted again.
    #[must_use]
    pub fn ended(self, now_ms: u64) -> Self {
        Self {
            cause: None,
            until_ms: self.until_ms.min(now_ms),
            ..self
        }
    }

    /// Why it is left out or on trial; `None`: it is well.
    pub fn cause(self) -> Option<Cause> {
        self.cause
    }

    /// How long it gets nothing at all yet; 0: it is on trial, or it is well.
    pub fn left_ms(self, now_ms: u64) -> u64 {
        let left_ms = self.until_ms.saturating_sub(now_ms);
        if self.cause.is_some() { left_ms } else { 0 }
    }

    /// Whether it gets nothing at all now.
    pub fn is_out(self, now_ms: u64) -> bool {
        self.left_ms(now_ms) > 0
    }
}

/// Of how many of the requests that it would be chosen for an engine takes part in the choice, in
/// thousandths. `since_ms`: when it came back; 0: it was always there.
pub fn warm_permille(since_ms: u64, now_ms: u64) -> u64 {
    let age_ms = now_ms.saturating_sub(since_ms);
    if since_ms == 0 || age_ms >= WARM_MS {
        return WHOLE_PERMILLE;
    }
    WARM_PERMILLE_MIN + (WHOLE_PERMILLE - WARM_PERMILLE_MIN) * age_ms / WARM_MS
}

/// How soon an engine's streams begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// Seen in the present stretch of time and the one before.
    samples: u64,
    stretch: u64,
    mean_us: u64,
}

/// Streams that have to be seen before an engine is called slow.
const SAMPLES_MIN: u64 = 8;
/// How much slower than its pool's median an engine has to be, and by how much more than that.
const SLOWER_TIMES: u64 = 4;
const SLOWER_US: u64 = 250_000;
/// Engines that have to be seen before there is a median to be slower than.
const PACES_MIN: usize = 3;

impl Pace {
    /// As it lies in a word.
    pub fn from_word(word: u64) -> Self {
        Self {
            samples: word & 0xffff,
            stretch: word >> 16 & 0xffff,
            mean_us: word >> 32,
        }
    }

    /// The word.
    pub fn word(self) -> u64 {
        self.samples.min(0xffff)
            | (self.stretch & 0xffff) << 16
            | self.mean_us.min(u64::from(u32::MAX)) << 32
    }

    /// After one more stream that began so late: the mean moves an eighth of the way.
    #[must_use]
    pub fn after(self, first_byte_us: u64, now_ms: u64) -> Self {
        let stretch = (now_ms / STRETCH_MS) & 0xffff;
        if self.samples == 0 || !self.is_recent(now_ms) {
            return Self {
                samples: 1,
                stretch,
                mean_us: first_byte_us,
            };
        }
        Self {
            samples: self.samples + 1,
            stretch,
            mean_us: (self.mean_us * 7 + first_byte_us) / 8,
        }
    }

    /// The mean in microseconds, 0 before the first stream.
    pub fn mean_us(self) -> u64 {
        self.mean_us
    }

    fn is_recent(self, now_ms: u64) -> bool {
        (now_ms / STRETCH_MS).wrapping_sub(self.stretch) & 0xffff <= 1
    }
}

/// The member of a pool that is far slower than the others, if one is.
pub fn slowest(paces: &[Pace], now_ms: u64) -> Option<usize> {
    let known = |pace: &Pace| pace.samples >= SAMPLES_MIN && pace.is_recent(now_ms);
    let mut means: Vec<u64> = paces
        .iter()
        .filter(|pace| known(pace))
        .map(|pace| pace.mean_us)
        .collect();
    if means.len() < PACES_MIN {
        return None;
    }
    means.sort_unstable();
    let median = means[(means.len() - 1) / 2];
    let bound = median
        .saturating_mul(SLOWER_TIMES)
        .saturating_add(SLOWER_US);
    let known = paces.iter().enumerate().filter(|(_, pace)| known(pace));
    let (at, pace) = known.max_by_key(|(_, pace)| pace.mean_us)?;
    (pace.mean_us > bound).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000;

    fn after(outcomes: &[bool], now_ms: u64) -> Outcomes {
        let begin = Outcomes::default();
        outcomes
            .iter()
            .fold(begin, |sum, good| sum.after(*good, now_ms))
    }

    #[test]
    fn five_failures_in_a_row_or_half_of_all_are_no_accident() {
        assert!(!after(&[false; 4], 1).is_failing());
        assert!(after(&[false; 5], 1).is_failing());
        let mut mixed = vec![true; 20];
        mixed.extend([false; 5]);
        assert!(after(&mixed, 1).is_failing());
        let rare: Vec<bool> = (0..60).map(|at| at % 3 != 0).collect();
        assert!(!after(&rare, 1).is_failing());
        let half: Vec<bool> = (0..10).map(|at| at % 2 == 0).collect();
        assert!(after(&half, 1).is_failing());
        // What happened long ago counts no more.
        let half_long_ago = after(&half[..9], 1).after(false, 5 * STRETCH_MS);
        assert!(!half_long_ago.is_failing());
    }

    #[test]
    fn an_engine_is_left_out_longer_each_time_and_forgiven_after_a_while() {
        let mut out = Exclusion::default();
        let mut now_ms = 1_000 * SECOND;
        let mut lasted = Vec::new();
        for _ in 0..7 {
            out = out.begun(Cause::Refusing, now_ms);
            assert_eq!(out, out.begun(Cause::Failing, now_ms + 1), "said again");
            let until_ms = (now_ms..).step_by(100).find(|at| !out.is_out(*at)).unwrap();
            lasted.push((until_ms - now_ms) / SECOND);
            assert_eq!(out.cause(), Some(Cause::Refusing), "on trial");
            now_ms = until_ms;
            out = out.ended(now_ms);
            assert_eq!(out.cause(), None);
        }
        assert_eq!(lasted, [1, 2, 4, 8, 16, 30, 30]);
        now_ms += FORGIVEN_MS + 1;
        out = out.begun(Cause::Failing, now_ms);
        assert!(out.is_out(now_ms + FAILING_MS - 1) && !out.is_out(now_ms + FAILING_MS));
    }

    #[test]
    fn one_that_comes_back_gets_its_share_step_by_step() {
        assert_eq!(warm_permille(0, 5), WHOLE_PERMILLE);
        assert_eq!(warm_permille(500, 500), WARM_PERMILLE_MIN);
        assert_eq!(warm_permille(500, 500 + WARM_MS / 2), 550);
        assert_eq!(warm_permille(500, 500 + WARM_MS), WHOLE_PERMILLE);
    }

    #[test]
    fn the_slowest_is_found_where_it_is_far_from_the_others() {
        let pace =
            |mean_us: u64| (0..SAMPLES_MIN).fold(Pace::default(), |pace, _| pace.after(mean_us, 1));
        let paces = [100_000, 120_000, 2_000_000, 90_000].map(pace);
        assert_eq!(slowest(&paces, 2), Some(2));
        assert_eq!(slowest(&paces, 3 * STRETCH_MS), None, "long ago");
        assert_eq!(slowest(&paces[1..3], 2), None, "no median of two");
        let even = [100_000, 120_000, 500_000, 90_000].map(pace);
        assert_eq!(slowest(&even, 2), None);
        let unseen = [
            pace(1_000),
            pace(1_000),
            pace(1_000),
            Pace::default().after(9_000_000, 1),
        ];
        assert_eq!(slowest(&unseen, 2), None, "one slow stream");
    }

    proptest! {
        #[test]
        fn words_hold_what_was_put_in(
            outcomes in prop::collection::vec(any::<bool>(), 0..50), now_ms in 0_u64..1 << 44,
            causes in prop::collection::vec(1_u8..4, 0..9), first_byte_us in 0_u64..1 << 31,
        ) {
            let sum = after(&outcomes, now_ms);
            prop_assert_eq!(Outcomes::from_word(sum.word()), sum);
            let pace = Pace::default().after(first_byte_us, now_ms);
            prop_assert_eq!(Pace::from_word(pace.word()), pace);
            let mut out = Exclusion::default();
            for cause in causes {
                let cause = [Cause::Refusing, Cause::Failing, Cause::Slow][usize::from(cause) - 1];
                out = out.begun(cause, now_ms);
                prop_assert_eq!(Exclusion::from_word(out.word()), out);
                out = out.ended(now_ms);
                prop_assert_eq!(Exclusion::from_word(out.word()), out);
            }
        }

        #[test]
        fn the_slowest_is_never_most_of_a_pool(
            means in prop::collection::vec(1_u64..9_000_000, 0..20),
        ) {
            let paces: Vec<_> = means.iter()
                .map(|mean| (0..20).fold(Pace::default(), |pace, _| pace.after(*mean, 1)))
                .collect();
            if let Some(at) = slowest(&paces, 1) {
                let faster = means.iter().filter(|mean| **mean < means[at] / 4).count();
                prop_assert!(faster * 2 >= means.len());
            }
        }
    }
}
