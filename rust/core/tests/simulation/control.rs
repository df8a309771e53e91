//! Control: credits, its start after a death, and the keeper that takes settled cells to the
//! ledger.

use std::collections::HashMap;

use tokenmill_core::wallet::{CONTROL, Claimer, Kind};

use super::{ACCOUNTS, House, PRICE};

/// The database: what is in it survives everything.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) lines: HashMap<u64, i64>,
    pub(super) balances: HashMap<u64, i64>,
    /// Intents of credits: account, nanos, and how often each is in the ledger.
    pub(super) intents: Vec<(u64, i64, u32)>,
}

impl House {
    pub(super) fn credit(&self) {
        let Ok(mut claimer) = self.control.try_borrow_mut() else {
            return;
        };
        let account_id = 1 + self.fate.below(ACCOUNTS);
        let nanos = (self.fate.below(9_000).cast_signed() - 2_000) | 1;
        let reference = {
            let mut ledger = self.ledger.borrow_mut();
            ledger.intents.push((account_id, nanos, 0));
            ledger.intents.len() as u64
        };
        self.post(&mut claimer, reference);
    }

    /// Posts an intent; one that is refused is taken out of the books.
    fn post(&self, claimer: &mut Claimer, reference: u64) {
        let index = usize::try_from(reference).unwrap() - 1;
        let (account_id, nanos, _) = self.ledger.borrow().intents[index];
        let times = (1, self.now_ns.get());
        let posted = self
            .wallet()
            .credit(claimer, account_id, nanos, reference, times);
        if posted.is_err() {
            self.ledger.borrow_mut().intents[index].1 = 0;
        }
    }

    pub(super) fn restart_control(&self) {
        let wallet = self.wallet();
        wallet.rescue(CONTROL, 5, self.now_ns.get());
        self.flush();
        let open: Vec<u64> = wallet.open_credits().collect();
        let missing: Vec<u64> = {
            let ledger = self.ledger.borrow();
            let unposted =
                |index: &usize| ledger.intents[*index].2 == 0 && ledger.intents[*index].1 != 0;
            (0..ledger.intents.len())
                .filter(unposted)
                .map(|index| index as u64 + 1)
                .filter(|reference| !open.contains(reference))
                .collect()
        };
        for reference in missing {
            self.post(&mut Claimer::new(CONTROL), reference);
        }
        self.control_is_dead.set(false);
    }

    /// The keeper: one transaction, then the cells.
    pub(super) fn flush(&self) {
        let wallet = self.wallet();
        let max = 1 + usize::try_from(self.fate.below(8)).unwrap();
        let records: Vec<_> = wallet.settled(max).collect();
        for record in &records {
            let mut ledger = self.ledger.borrow_mut();
            if ledger.lines.contains_key(&record.ticket) {
                continue; // a replay
            }
            if record.kind == Kind::Debit {
                self.check_billed(record.ticket, record.tokens, record.flags);
                assert_eq!(record.amount, -PRICE.cost(record.tokens));
            } else {
                let index = usize::try_from(record.reference).unwrap() - 1;
                ledger.intents[index].2 += 1;
                assert_eq!(ledger.intents[index].2, 1, "a credit was posted twice");
            }
            ledger.lines.insert(record.ticket, record.amount);
            *ledger
                .balances
                .entry(record.request.account_id)
                .or_default() += record.amount;
        }
        for record in &records {
            wallet.free(record.ticket);
        }
    }
}
