//! One bucket.

const MINUTE_NS: u64 = 60_000_000_000;
const MS_NS: u64 = 1_000_000;

/// The largest quota: with it a full bucket and twice as much debt still fit 64 bits.
pub const PER_MIN_MAX: u32 = 100_000_000;

/// Permits a minute, 1 to [`PER_MIN_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota(u32);

impl Quota {
    /// The quota; `None` for 0, which is no limit. More than [`PER_MIN_MAX`] is cut to it.
    pub fn per_min(permits: u32) -> Option<Self> {
        (permits > 0).then_some(Self(permits.min(PER_MIN_MAX)))
    }

    /// Permits a minute.
    pub fn permits(self) -> u32 {
        self.0
    }

    fn rate(self) -> u64 {
        u64::from(self.0)
    }

    fn full(self) -> u64 {
        self.rate() * MINUTE_NS
    }
}

/// What is spent of a bucket's quota, as of a moment. The default is a full bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    at_ns: u64,
    /// Permits × the nanoseconds of a minute; over the quota it is a debt.
    spent: u64,
}

/// What became of a wish for permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// They were taken: the bucket from now on.
    Taken(Bucket),
    /// Not now. If nobody else takes any, they are there in `wait_ns` and no nanosecond earlier.
    Wait {
        /// Nanoseconds from now.
        wait_ns: u64,
    },
    /// Not ever: a full bucket holds fewer.
    Never,
}

/// What a bucket holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Whole permits that could be taken now.
    pub remaining: u32,
    /// Until it is full again.
    pub reset_ns: u64,
}

impl Level {
    /// Milliseconds until it is full again, rounded up.
    pub fn reset_ms(self) -> u64 {
        self.reset_ns.div_ceil(MS_NS)
    }
}

impl Bucket {
    /// The bucket of these bits.
    pub fn from_bits(bits: u128) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        let (at_ns, spent) = (bits as u64, (bits >> 64) as u64);
        Self { at_ns, spent }
    }

    /// All of it, to be swapped at once; all zeros is a full bucket.
    pub fn bits(self) -> u128 {
        u128::from(self.at_ns) | u128::from(self.spent) << 64
    }

    /// Takes permits, all or none. A `now_ns` from before the bucket's own moment counts as that:
    /// two processes may read the clock in one order and come here in the other.
    pub fn take(self, quota: Quota, permits: u64, now_ns: u64) -> Take {
        if permits > quota.rate() {
            return Take::Never;
        }
        let now = self.as_of(quota, now_ns);
        let cost = permits * MINUTE_NS;
        let spent = now.spent.saturating_add(cost);
        if spent <= quota.full() {
            return Take::Taken(Self { spent, ..now });
        }
        // The bucket's own moment may be later than the caller's: it waits from its own.
        let behind_ns = now.at_ns - now_ns;
        let missing_ns = (spent - quota.full()).div_ceil(quota.rate());
        let wait_ns = missing_ns.saturating_add(behind_ns);
        Take::Wait { wait_ns }
    }

    /// Corrects an estimate that was taken to what was used: gives back, or goes into debt.
    /// A debt is at most some 300 million permits.
    #[must_use]
    pub fn correct(self, quota: Quota, taken: u64, used: u64, now_ns: u64) -> Self {
        let now = self.as_of(quota, now_ns);
        let units = |permits: u64| permits.saturating_mul(MINUTE_NS);
        let spent = if used >= taken {
            now.spent.saturating_add(units(used - taken))
        } else {
            now.spent.saturating_sub(units(taken - used))
        };
        Self { spent, ..now }
    }

    /// What it holds.
    pub fn level(self, quota: Quota, now_ns: u64) -> Level {
        let spent = self.as_of(quota, now_ns).spent;
        let left = quota.full().saturating_sub(spent) / MINUTE_NS;
        Level {
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset_ns: spent.div_ceil(quota.rate()),
        }
    }

    fn as_of(self, quota: Quota, now_ns: u64) -> Self {
        let elapsed_ns = now_ns.saturating_sub(self.at_ns);
        let refilled = elapsed_ns.saturating_mul(quota.rate());
        Self {
            at_ns: self.at_ns.max(now_ns),
            spent: self.spent.saturating_sub(refilled),
        }
    }
}

/// Whole milliseconds after which a wait is surely over; at least 1.
pub fn retry_after_ms(wait_ns: u64) -> u64 {
    wait_ns.div_ceil(MS_NS).max(1)
}
