//! How late the streams of a pool begin: the time that nineteen of twenty begin within.

/// Streams that have to be seen before that is known.
const SAMPLES_MIN: u32 = 64;
/// From here on old ones are forgotten: all counts are halved.
const SAMPLES_MAX: u32 = 1_024;
/// Four buckets to a doubling, from a millisecond on: a bucket's end is at most a quarter too late.
const BUCKETS: usize = 72;
const FIRST_BIT: u32 = 10;

/// Counts of first bytes by how late they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    counts: [u32; BUCKETS],
    sum: u32,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            sum: 0,
        }
    }
}

impl Tail {
    /// One more stream began so late, or had not by then.
    pub fn note(&mut self, first_byte_us: u64) {
        self.counts[bucket(first_byte_us)] += 1;
        self.sum += 1;
        if self.sum >= SAMPLES_MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.sum = self.counts.iter().sum();
        }
    }

    /// The time in microseconds that nineteen of twenty began within, at most a quarter too long;
    /// `None` before enough were seen.
    pub fn p95_us(&self) -> Option<u64> {
        if self.sum < SAMPLES_MIN {
            return None;
        }
        let mut left = self.sum.div_ceil(20);
        for (at, count) in self.counts.iter().enumerate().rev() {
            if *count >= left {
                return Some(end_us(at));
            }
            left -= count;
        }
        None
    }
}

/// The two bits behind the highest one, and where that is.
fn bucket(us: u64) -> usize {
    let us = us.max(1 << FIRST_BIT);
    let high = us.ilog2();
    let quarter = us >> (high - 2) & 3;
    let at = u64::from(high - FIRST_BIT) * 4 + quarter;
    usize::try_from(at).map_or(BUCKETS - 1, |at| at.min(BUCKETS - 1))
}

/// Where a bucket ends.
fn end_us(at: usize) -> u64 {
    let (high, quarter) = (at / 4, at as u64 % 4);
    (5 + quarter) << (high + FIRST_BIT as usize - 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_a_few_streams_nothing_is_known() {
        let mut tail = Tail::default();
        (1..SAMPLES_MIN).for_each(|_| tail.note(5_000));
        assert_eq!(tail.p95_us(), None);
        tail.note(5_000);
        assert_eq!(tail.p95_us(), Some(5_120));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut tail = Tail::default();
        (0..2_000).for_each(|_| tail.note(1_000_000));
        (0..10_000).for_each(|_| tail.note(20_000));
        assert!(tail.p95_us().unwrap() <= 25_000);
    }

    proptest! {
        #[test]
        fn nineteen_of_twenty_are_within_it_and_it_is_at_most_a_quarter_too_long(
            mut times in prop::collection::vec(1_024_u64..200_000_000, 64..1_000),
        ) {
            let mut tail = Tail::default();
            for time in &times {
                tail.note(*time);
            }
            times.sort_unstable();
            let exact = times[times.len() - times.len().div_ceil(20)];
            let told = tail.p95_us().unwrap();
            prop_assert!(exact <= told && told <= exact + exact / 4 + 1, "{exact} {told}");
        }
    }
}
