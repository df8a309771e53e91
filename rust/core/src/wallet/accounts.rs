//! Accounts as control writes them and everyone reads them.

use super::account::{AccountWord, RATES, REQUESTS, TERMS, TOKENS, Terms};
use super::amount::NANOS_MAX;
use super::words::Words;
use super::{Refusal, Wallet};
use crate::limiter::{Bucket, Level, Quota};

/// One limit and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Permits a minute.
    pub limit: u32,
    /// What is left now.
    pub level: Level,
}

/// An account at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// What it may do.
    pub terms: Terms,
    /// Nanos that are neither spent nor held.
    pub available: i64,
    /// Requests in flight.
    pub in_flight: u16,
    /// Requests a minute, if they are limited.
    pub requests: Option<Allowance>,
    /// Tokens a minute, if they are limited.
    pub tokens: Option<Allowance>,
}

/// An account number that the segment has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// Numbers are below this.
    pub accounts_max: usize,
}

impl<W: Words> Wallet<'_, W> {
    /// Makes the account with this balance, or changes what it may do and leaves its balance; true
    /// if it is new. One writer; if that died half-way, the account is still new.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn put_account(
        &self,
        account_id: u64,
        terms: &Terms,
        opening: i64,
    ) -> Result<bool, NoRoom> {
        let account = self.account_at(account_id).ok_or(NoRoom {
            accounts_max: self.map.accounts_max,
        })?;
        let words = self.words;
        let is_new = Terms::from_words(0, words.load(account + TERMS)).is_none();
        if is_new {
            let opening = opening.clamp(-NANOS_MAX, NANOS_MAX);
            words.store_pair(account, AccountWord::opening(opening).bits());
        }
        words.store(account + RATES, terms.rates_word());
        words.store(account + TERMS, terms.terms_word());
        Ok(is_new)
    }

    /// The account as it is now.
    pub fn account(&self, account_id: u64, now_ns: u64) -> Option<View> {
        let account = self.account_at(account_id)?;
        let rates = self.words.load(account + RATES);
        let terms = Terms::from_words(rates, self.words.load(account + TERMS))?;
        let word = self.account_word(account);
        let allowance = |field: usize, limit: u32| {
            let quota = Quota::per_min(limit)?;
            let bucket = Bucket::from_bits(self.words.load_pair(account + field));
            let level = bucket.level(quota, now_ns);
            Some(Allowance { limit, level })
        };
        Some(View {
            terms,
            available: word.available,
            in_flight: word.in_flight,
            requests: allowance(REQUESTS, terms.requests_per_min),
            tokens: allowance(TOKENS, terms.tokens_per_min),
        })
    }

    /// Sets the balance of an account that nothing is under way for; whether that was so. For
    /// whoever posts credits and frees cells, between the two.
    pub fn reset_balance(&self, account_id: u64, nanos: i64) -> bool {
        let Ok(account) = self.known_account(account_id) else {
            return false;
        };
        let seen = self.words.load_pair(account);
        let word = AccountWord::from_bits(seen);
        if word.in_flight > 0 || self.has_open_cell(account_id) {
            return false;
        }
        let next = AccountWord {
            available: nanos.clamp(-NANOS_MAX, NANOS_MAX),
            ..word
        };
        // The last operation stays: should its cell still ask, the answer is the same.
        self.words.swap_pair(account, seen, next.bits()).is_ok()
    }

    pub(super) fn known_account(&self, account_id: u64) -> Result<usize, Refusal> {
        let account = self.account_at(account_id).ok_or(Refusal::NoAccount)?;
        let terms = Terms::from_words(0, self.words.load(account + TERMS));
        terms.map(|_| account).ok_or(Refusal::NoAccount)
    }
}
