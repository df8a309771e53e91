//! The wallet of the mapped segment, with the clocks read for it.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use tokenmill_core::segment::word;
use tokenmill_core::wallet::{
    Admitted, Audit, Claimer, Ending, Hold, NoRoom, Record, Refusal, Request, Terms, Tokens, View,
    Wallet,
};

use super::Segment;
use super::shared::SharedWords;
use crate::clock;

impl Segment {
    /// 63 random bits of this file: with a ticket of it unlike any other ticket.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Whether the accounts were loaded from the database since the house was started.
    pub fn accounts_ready(&self) -> bool {
        self.word(word::ACCOUNTS_READY).load(Ordering::Acquire) != 0
    }

    /// Says that they were.
    pub fn set_accounts_ready(&self) {
        self.word(word::ACCOUNTS_READY).store(1, Ordering::Release);
    }

    /// See [`Wallet::put_account`].
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn put_account(
        &self,
        account_id: u64,
        terms: &Terms,
        opening: i64,
    ) -> Result<bool, NoRoom> {
        self.with_wallet(|wallet| wallet.put_account(account_id, terms, opening))
    }

    /// See [`Wallet::reset_balance`].
    pub fn reset_balance(&self, account_id: u64, nanos: i64) -> bool {
        self.with_wallet(|wallet| wallet.reset_balance(account_id, nanos))
    }

    /// See [`Wallet::account`].
    pub fn account(&self, account_id: u64) -> Option<View> {
        self.with_wallet(|wallet| wallet.account(account_id, clock::monotonic_ns()))
    }

    /// See [`Wallet::audit`].
    pub fn audit(&self, account_id: u64) -> Option<Audit> {
        self.with_wallet(|wallet| wallet.audit(account_id))
    }

    /// See [`Wallet::credit`].
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn credit(
        &self,
        account_id: u64,
        nanos: i64,
        reference: u64,
        wall_ms: u64,
    ) -> Result<u64, Refusal> {
        let mut cells = self
            .control_cells
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let times = (wall_ms, clock::monotonic_ns());
        self.with_wallet(|wallet| wallet.credit(&mut cells, account_id, nanos, reference, times))
    }

    /// References of the credits that are not in the ledger for certain.
    pub fn open_credits(&self) -> Vec<u64> {
        self.with_wallet(|wallet| wallet.open_credits().collect())
    }

    /// At most `max` settled cells.
    pub fn settled(&self, max: usize) -> Vec<Record> {
        self.with_wallet(|wallet| wallet.settled(max).collect())
    }

    /// At most `max` requests that hold money.
    pub fn held(&self, max: usize) -> Vec<Record> {
        self.with_wallet(|wallet| wallet.held(max).collect())
    }

    /// Frees the cell of a ticket that is in the ledger.
    pub fn free_cell(&self, ticket: u64) -> bool {
        self.with_wallet(|wallet| wallet.free(ticket))
    }

    /// Cells that are not free.
    pub fn open_cells(&self) -> usize {
        #[expect(
            clippy::redundant_closure_for_method_calls,
            reason = "the method is not general over the wallet's lifetime"
        )]
        self.with_wallet(|wallet| wallet.open_cells())
    }

    /// Ends the cells of a dead owner. See [`Wallet::rescue`].
    pub fn rescue(&self, owner: u16) -> usize {
        let (wall_ms, now_ns) = (clock::wall_ms(), clock::monotonic_ns());
        self.with_wallet(|wallet| wallet.rescue(owner, wall_ms, now_ns))
    }

    /// An account's share of a busy house; 1 for one that is not there.
    pub fn weight(&self, account_id: u64) -> u16 {
        let terms = self.with_wallet(|wallet| wallet.terms(account_id));
        terms.map_or(1, |terms| terms.weight)
    }

    /// Takes the permit for one request.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn take_request(&self, account_id: u64) -> Result<(), Refusal> {
        self.with_wallet(|wallet| wallet.take_request(account_id, clock::monotonic_ns()))
    }

    /// Admits a request of the worker whose cells `cells` claims.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn admit(
        &self,
        cells: &mut Claimer,
        request: &Request,
        enforce: bool,
    ) -> Result<Admitted, Refusal> {
        self.with_wallet(|wallet| wallet.admit(cells, request, request.began_ns, enforce))
    }

    /// Notes the last usage received.
    pub fn meter(&self, hold: Hold, tokens: Tokens) {
        self.with_wallet(|wallet| wallet.meter(hold, tokens));
    }

    /// Settles a request; its cost in nanos.
    pub fn settle(&self, hold: Hold, ending: &Ending) -> i64 {
        self.with_wallet(|wallet| wallet.settle(hold, ending))
    }

    fn with_wallet<T>(&self, deed: impl FnOnce(&Wallet<'_, SharedWords<'_>>) -> T) -> T {
        let words = SharedWords(self.words());
        deed(&Wallet::new(&words, self.layout.wallet()))
    }
}
