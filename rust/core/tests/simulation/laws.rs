//! What holds after every step: the bill, the books, the limits.

use tokenmill_core::wallet::{Tokens, flag};

use super::{ACCOUNTS, CELLS, House, REQUESTS_PER_MIN, SECOND_NS};

impl House {
    pub(super) fn check_billed(&self, ticket: u64, tokens: Tokens, flags: u8) {
        match self.expected.borrow().get(&ticket) {
            Some(allowed) => assert!(allowed.contains(&tokens), "{tokens:?} of {allowed:?}"),
            None => {
                assert_eq!(
                    tokens,
                    Tokens::default(),
                    "billed without having been admitted"
                );
                assert_eq!(flags, flag::RESCUED);
            }
        }
    }

    pub(super) fn check(&self) {
        let ledger = self.ledger.borrow();
        for account_id in 1..=ACCOUNTS {
            let audit = self.wallet().audit(account_id).unwrap();
            let posted: i64 = self
                .wallet()
                .settled(CELLS)
                .filter(|record| ledger.lines.contains_key(&record.ticket))
                .filter(|record| record.request.account_id == account_id)
                .map(|record| record.amount)
                .sum();
            let books = ledger.balances[&account_id] + audit.unposted - posted;
            assert_eq!(
                audit.available + audit.held,
                books,
                "account {account_id}: {audit:?}"
            );
            assert!(audit.available >= 0 && audit.held >= 0, "{audit:?}");
        }
    }

    pub(super) fn check_limits(&self) {
        let admitted = self.admitted.borrow();
        for account_id in 1..=ACCOUNTS {
            let times: Vec<u64> = admitted
                .iter()
                .filter(|each| each.0 == account_id)
                .map(|each| each.1)
                .collect();
            for (first, from_ns) in times.iter().enumerate() {
                for (count, to_ns) in times[first..].iter().enumerate() {
                    let stretch_ns = u128::from(60 * SECOND_NS + (to_ns - from_ns));
                    let given = (count as u128 + 1) * u128::from(60 * SECOND_NS);
                    assert!(given <= u128::from(REQUESTS_PER_MIN) * stretch_ns);
                }
            }
        }
    }
}
