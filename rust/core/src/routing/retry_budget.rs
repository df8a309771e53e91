//! How many requests may be sent a second time: a tenth of all, so that a fleet in trouble is not
//! sent twice the work.

/// What is left, in tenths of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget(u32);

/// A retry costs what ten requests earn.
const RETRY: u32 = 10;
/// Before the first requests came: enough for an engine that dies in a quiet house.
const FIRST: u32 = 20 * RETRY;
/// What is saved up at most: a thousand requests' worth.
const MOST: u32 = 100 * RETRY;

impl Default for RetryBudget {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl RetryBudget {
    /// As a word that processes or threads may share.
    pub fn from_word(word: u32) -> Self {
        Self(word.min(MOST))
    }

    /// The word.
    pub fn word(self) -> u32 {
        self.0
    }

    /// After one more request.
    #[must_use]
    pub fn earned(self) -> Self {
        Self((self.0 + 1).min(MOST))
    }

    /// After one more retry; `None` when there is nothing left for one.
    pub fn spent(self) -> Option<Self> {
        self.0.checked_sub(RETRY).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn of_any_number_of_requests_a_tenth_is_retried_beyond_the_first_twenty(
            deeds in prop::collection::vec(any::<bool>(), 0..4_000),
        ) {
            let mut budget = RetryBudget::default();
            let (mut requests, mut retries) = (0_u32, 0_u32);
            for is_retry in deeds {
                if !is_retry {
                    requests += 1;
                    budget = budget.earned();
                } else if let Some(left) = budget.spent() {
                    retries += 1;
                    budget = left;
                }
                prop_assert!(retries <= 20 + requests / 10);
                prop_assert_eq!(RetryBudget::from_word(budget.word()), budget);
            }
        }
    }

    #[test]
    fn a_long_quiet_time_saves_up_a_hundred_and_no_more() {
        let mut budget = (0..100_000).fold(RetryBudget::default(), |left, _| left.earned());
        let mut retries = 0;
        while let Some(left) = budget.spent() {
            (budget, retries) = (left, retries + 1);
        }
        assert_eq!(retries, 100);
    }
}
