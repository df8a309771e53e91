//! The laws of a bucket, over any order of takes, corrections and pauses.

use proptest::prelude::*;

use super::{Bucket, Level, Quota, Take, retry_after_ms};

const MINUTE_NS: u128 = 60_000_000_000;
const MS_NS: u64 = 1_000_000;

fn quota(permits: u32) -> Quota {
    Quota::per_min(permits).unwrap()
}

fn taken(bucket: Bucket, quota: Quota, permits: u64, now_ns: u64) -> Bucket {
    match bucket.take(quota, permits, now_ns) {
        Take::Taken(bucket) => bucket,
        other => panic!("{other:?}"),
    }
}

fn must_wait(take: Take) -> bool {
    matches!(take, Take::Wait { .. })
}

prop_compose! {
    /// Pauses in nanoseconds and wishes, of all magnitudes.
    fn wishes()(
        list in prop::collection::vec((0_u32..38, any::<u64>(), 1_u64..400), 1..120),
    ) -> Vec<(u64, u64)> {
        let cut = |(bits, noise, permits)| (noise & ((1_u64 << bits) - 1), permits);
        list.into_iter().map(cut).collect()
    }
}

proptest! {
    #[test]
    fn in_any_stretch_of_time_no_more_than_promised(per_min in 1_u32..5_000, wishes in wishes()) {
        let quota = quota(per_min);
        let (mut bucket, mut now_ns) = (Bucket::default(), 1_000_u64);
        let mut given: Vec<(u64, u64)> = Vec::new();
        for (pause_ns, permits) in wishes {
            now_ns += pause_ns;
            if let Take::Taken(after) = bucket.take(quota, permits, now_ns) {
                bucket = after;
                given.push((now_ns, permits));
            }
        }
        for (first, (from_ns, _)) in given.iter().enumerate() {
            let mut sum = 0_u128;
            for (to_ns, permits) in &given[first..] {
                sum += u128::from(*permits);
                let minute_and_stretch = MINUTE_NS + u128::from(to_ns - from_ns);
                prop_assert!(sum * MINUTE_NS <= u128::from(per_min) * minute_and_stretch);
            }
        }
    }

    #[test]
    fn come_back_at_is_true_to_the_millisecond(per_min in 1_u32..2_000_000, wishes in wishes()) {
        let quota = quota(per_min);
        let (mut bucket, mut now_ns) = (Bucket::default(), 0_u64);
        for (pause_ns, permits) in wishes {
            now_ns += pause_ns;
            match bucket.take(quota, permits, now_ns) {
                Take::Taken(after) => bucket = after,
                Take::Wait { wait_ns } => {
                    let at_ns = now_ns + retry_after_ms(wait_ns) * MS_NS;
                    prop_assert!(matches!(bucket.take(quota, permits, at_ns), Take::Taken(_)));
                    let early = bucket.take(quota, permits, at_ns - MS_NS);
                    prop_assert!(must_wait(early));
                }
                Take::Never => prop_assert!(permits > u64::from(per_min)),
            }
        }
    }

    #[test]
    fn a_full_bucket_gives_exactly_its_quota(per_min in 1_u32..3_000, now_ns in 0_u64..1 << 50) {
        let quota = quota(per_min);
        let mut bucket = Bucket::default();
        for _ in 0..per_min {
            bucket = taken(bucket, quota, 1, now_ns);
        }
        let wait_ns = 60_000_000_000_u64.div_ceil(u64::from(per_min));
        prop_assert_eq!(bucket.take(quota, 1, now_ns), Take::Wait { wait_ns });
        prop_assert_eq!(bucket.level(quota, now_ns).remaining, 0);
    }

    #[test]
    fn an_estimate_that_is_corrected_counts_as_what_was_used(
        per_min in 100_u32..100_000, estimate in 1_u64..100, used in 0_u64..300,
        pause_ns in 0_u64..1 << 36,
    ) {
        // The bucket was never empty of spending in between, so it remembers all of it.
        let quota = quota(per_min);
        let begun = taken(Bucket::default(), quota, u64::from(per_min), 0);
        let drained = begun.correct(quota, 0, u64::from(per_min) * 30, 0);
        let exact = drained.correct(quota, 0, used, pause_ns);
        let corrected = drained
            .correct(quota, 0, estimate, 0)
            .correct(quota, estimate, used, pause_ns);
        prop_assert_eq!(exact, corrected);
    }

    #[test]
    fn what_is_said_to_remain_can_be_taken_and_no_more(
        per_min in 1_u32..100_000, spent in 0_u64..100_000, pause_ns in 0_u64..1 << 36,
    ) {
        let quota = quota(per_min);
        let spent = spent.min(u64::from(per_min));
        let bucket = taken(Bucket::default(), quota, spent, 0);
        let Level { remaining, reset_ns } = bucket.level(quota, pause_ns);
        let after = taken(bucket, quota, remaining.into(), pause_ns);
        prop_assert!(!matches!(after.take(quota, 1, pause_ns), Take::Taken(_)));
        let full = bucket.level(quota, pause_ns + reset_ns);
        prop_assert_eq!(full, Level { remaining: per_min, reset_ns: 0 });
        if reset_ns > 0 {
            prop_assert!(bucket.level(quota, pause_ns + reset_ns - 1).reset_ns > 0);
        }
    }

    #[test]
    fn time_that_goes_back_gives_nothing(
        per_min in 1_u32..1_000, now_ns in 0_u64..1 << 50, back_ns in 0_u64..1 << 50,
    ) {
        let quota = quota(per_min);
        let bucket = taken(Bucket::default(), quota, per_min.into(), now_ns);
        let earlier_ns = now_ns.saturating_sub(back_ns);
        prop_assert!(must_wait(bucket.take(quota, 1, earlier_ns)));
        prop_assert_eq!(bucket.correct(quota, 0, 0, earlier_ns), bucket);
    }

    #[test]
    fn bits_keep_everything(bits in any::<u128>()) {
        prop_assert_eq!(Bucket::from_bits(bits).bits(), bits);
    }

    #[test]
    fn nothing_overflows(bits in any::<u128>(), per_min: u32, taken: u64, used: u64, now_ns: u64) {
        if let Some(quota) = Quota::per_min(per_min) {
            let bucket = Bucket::from_bits(bits).correct(quota, taken, used, now_ns);
            let _ = (bucket.take(quota, taken, now_ns), bucket.level(quota, now_ns));
        }
    }
}

#[test]
fn no_limit_is_no_quota() {
    assert_eq!(Quota::per_min(0), None);
}

#[test]
fn what_never_fits_is_told_apart_from_not_now() {
    let quota = quota(20);
    assert_eq!(Bucket::default().take(quota, 21, 0), Take::Never);
    let empty = taken(Bucket::default(), quota, 20, 0);
    let wait_ns = 60_000_000_000;
    assert_eq!(empty.take(quota, 20, 0), Take::Wait { wait_ns });
}

#[test]
fn a_smaller_quota_keeps_what_was_spent() {
    let bucket = taken(Bucket::default(), quota(100), 60, 0);
    assert_eq!(bucket.level(quota(60), 0).remaining, 0);
    assert_eq!(bucket.level(quota(200), 0).remaining, 140);
}
