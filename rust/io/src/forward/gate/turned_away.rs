//! Accounts that were turned away of late: they are believed to take every turn they get.

use std::collections::BTreeSet;
use std::mem::take;

/// For how long at least, and for less than twice as long, an account that was turned away is
/// believed to have more requests than get in.
const PRESSING_MS: u64 = 1_000;

/// Which accounts were, in two stretches of time: to forget is to drop the older one, whatever the
/// number of accounts.
#[derive(Default)]
pub(super) struct TurnedAway {
    /// When the younger stretch began; monotonic.
    since_ms: u64,
    young: BTreeSet<u64>,
    old: BTreeSet<u64>,
}

impl TurnedAway {
    /// An account has more requests than get in.
    pub fn note(&mut self, account_id: u64, now_ms: u64) {
        let age_ms = now_ms.saturating_sub(self.since_ms);
        if age_ms >= PRESSING_MS {
            self.old = take(&mut self.young);
            if age_ms >= 2 * PRESSING_MS {
                self.old.clear();
            }
            self.since_ms = now_ms;
        }
        self.young.insert(account_id);
    }

    /// Whether that was so a moment ago.
    pub fn is_pressing(&self, account_id: u64, now_ms: u64) -> bool {
        let age_ms = now_ms.saturating_sub(self.since_ms);
        age_ms < 2 * PRESSING_MS && self.young.contains(&account_id)
            || age_ms < PRESSING_MS && self.old.contains(&account_id)
    }
}

#[cfg(test)]
mod tests {
    use super::TurnedAway;

    #[test]
    fn an_account_presses_for_one_to_two_seconds_after_its_last_refusal() {
        let mut turned_away = TurnedAway::default();
        turned_away.note(1, 10_000);
        turned_away.note(2, 10_900);
        assert!(turned_away.is_pressing(1, 10_999) && turned_away.is_pressing(2, 11_899));
        assert!(!turned_away.is_pressing(3, 10_900));
        turned_away.note(3, 11_500);
        assert!(turned_away.is_pressing(2, 11_899) && turned_away.is_pressing(3, 12_499));
        assert!(!turned_away.is_pressing(1, 12_500) && !turned_away.is_pressing(2, 12_900));
        turned_away.note(1, 60_000);
        assert!(!turned_away.is_pressing(3, 60_000));
    }
}
