//! Admission: limits first, then a cell, then the money. What one step refuses, the steps before it
//! give back.

use super::account::{
    AccountWord, IN_FLIGHT_MAX, Operation, Phase, RATES, REQUESTS, TERMS, TOKENS,
};
use super::amount::NANOS_MAX;
use super::cell::{self, Kind, Metered, Request, Stage, State, Tags, flag};
use super::claim::Claimer;
use super::words::Words;
use super::{Terms, Wallet};
use crate::limiter::{Bucket, Quota, Take};

/// A use of a cell. Whoever has it settles it, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    pub(super) cell: u32,
    pub(super) generation: u32,
}

/// Why a request is not admitted. Expected: an answer, no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The segment has no such account.
    NoAccount,
    /// The account may not make requests.
    Disabled,
    /// No permit for a request now.
    Requests {
        /// Until there is one.
        wait_ns: u64,
    },
    /// Not enough permits for its tokens now.
    Tokens {
        /// Until there are.
        wait_ns: u64,
    },
    /// More tokens than the account may ever use in a minute.
    NeverFits {
        /// Tokens a minute that it may.
        tokens_per_min: u32,
    },
    /// As many requests in flight as the account may have.
    Concurrency,
    /// Not enough money.
    Balance {
        /// Nanos that are missing.
        missing: i64,
    },
    /// Every cell is taken: the ledger is slow, or the house is full.
    NoCell,
}

/// A request that may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Its cell.
    pub hold: Hold,
    /// What would have refused it, where nothing is enforced.
    pub overlooked: Option<Refusal>,
}

/// The estimate of a request that took no permits: nothing to correct.
pub(super) const NOT_TAKEN: u64 = u64::MAX;

impl<W: Words> Wallet<'_, W> {
    /// Takes the permit for one request: what every request with a good key costs.
    ///
    /// # Errors
    /// [`Refusal::NoAccount`], [`Refusal::Disabled`], [`Refusal::Requests`].
    pub fn take_request(&self, account_id: u64, now_ns: u64) -> Result<(), Refusal> {
        let (account, terms) = self.terms_at(account_id)?;
        let Some(quota) = Quota::per_min(terms.requests_per_min) else {
            return Ok(());
        };
        match self.take_permits(account + REQUESTS, quota, 1, now_ns) {
            Take::Taken(_) => Ok(()),
            Take::Wait { wait_ns } => Err(Refusal::Requests { wait_ns }),
            Take::Never => Err(Refusal::Requests { wait_ns: u64::MAX }),
        }
    }

    /// Holds what the request may cost and the tokens it may take. With `enforce` off, limits and
    /// balance refuse nothing: what they would have said is in the answer.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is held then.
    pub fn admit(
        &self,
        claimer: &mut Claimer,
        request: &Request,
        now_ns: u64,
        enforce: bool,
    ) -> Result<Admitted, Refusal> {
        let (account, terms) = self.terms_at(request.account_id)?;
        let reserve = request.reserve.clamp(0, NANOS_MAX);
        let word = self.account_word(account);
        let mut overlooked = refusal_of(word, &terms, reserve);
        if let (Some(refusal), true) = (overlooked, enforce) {
            return Err(refusal);
        }
        let mut estimate = request.tokens_estimate;
        if let Err(refusal) = self.take_tokens(account, &terms, estimate, now_ns) {
            if enforce {
                return Err(refusal);
            }
            overlooked = Some(refusal);
            estimate = NOT_TAKEN;
        }
        let Some(hold) = claimer.claim(self, now_ns) else {
            self.give_tokens_back(account, estimate, now_ns);
            return Err(Refusal::NoCell);
        };
        self.fill(hold, request, reserve, estimate);
        let operation = hold.operation(Phase::Reserve);
        let reserved = self.apply(account, operation, |word| {
            match refusal_of(word, &terms, reserve) {
                Some(refusal) if enforce => Err(refusal),
                _ => Ok(AccountWord {
                    in_flight: word.in_flight.saturating_add(1),
                    ..word.with(-reserve)
                }),
            }
        });
        let state = self.state(hold.cell);
        if let Err(refusal) = reserved {
            self.move_to(Stage::Free, hold.cell, state);
            self.give_tokens_back(account, estimate, now_ns);
            return Err(refusal);
        }
        self.move_to(Stage::Held, hold.cell, state);
        Ok(Admitted { hold, overlooked })
    }

    /// Notes the last usage that was received: one store, so that a death between two of them
    /// leaves one of the two.
    pub fn meter(&self, hold: Hold, tokens: super::Tokens) {
        let flags = flag::METERED;
        let at = self.cell_at(hold.cell) + cell::USAGE;
        self.words.store_pair(at, Metered { tokens, flags }.bits());
    }

    /// Nanos that are held for it.
    pub fn reserved(&self, hold: Hold) -> i64 {
        self.field(hold.cell, cell::RESERVED).cast_signed()
    }

    /// What an account may do.
    ///
    /// # Errors
    /// [`Refusal::NoAccount`], [`Refusal::Disabled`].
    pub fn terms(&self, account_id: u64) -> Result<Terms, Refusal> {
        self.terms_at(account_id).map(|(_, terms)| terms)
    }

    fn terms_at(&self, account_id: u64) -> Result<(usize, Terms), Refusal> {
        let account = self.account_at(account_id).ok_or(Refusal::NoAccount)?;
        let terms = self.words.load(account + TERMS);
        let rates = self.words.load(account + RATES);
        let terms = Terms::from_words(rates, terms).ok_or(Refusal::NoAccount)?;
        if terms.is_enabled {
            return Ok((account, terms));
        }
        Err(Refusal::Disabled)
    }

    fn take_tokens(
        &self,
        account: usize,
        terms: &Terms,
        estimate: u64,
        now_ns: u64,
    ) -> Result<(), Refusal> {
        let Some(quota) = Quota::per_min(terms.tokens_per_min) else {
            return Ok(());
        };
        match self.take_permits(account + TOKENS, quota, estimate, now_ns) {
            Take::Taken(_) => Ok(()),
            Take::Never => Err(Refusal::NeverFits {
                tokens_per_min: quota.permits(),
            }),
            // Whoever comes back needs a permit for a request again.
            Take::Wait { wait_ns } => Err(Refusal::Tokens {
                wait_ns: wait_ns.max(self.request_wait_ns(account, terms, now_ns)),
            }),
        }
    }

    fn request_wait_ns(&self, account: usize, terms: &Terms, now_ns: u64) -> u64 {
        let bucket = Bucket::from_bits(self.words.load_pair(account + REQUESTS));
        match Quota::per_min(terms.requests_per_min).map(|quota| bucket.take(quota, 1, now_ns)) {
            Some(Take::Wait { wait_ns }) => wait_ns,
            _ => 0,
        }
    }

    fn take_permits(&self, at: usize, quota: Quota, permits: u64, now_ns: u64) -> Take {
        let mut seen = self.words.load_pair(at);
        loop {
            let take = Bucket::from_bits(seen).take(quota, permits, now_ns);
            let Take::Taken(bucket) = take else {
                return take;
            };
            match self.words.swap_pair(at, seen, bucket.bits()) {
                Ok(()) => return take,
                Err(found) => seen = found,
            }
        }
    }

    /// Corrects the bucket of tokens from an estimate to what was used.
    pub(super) fn correct_tokens(&self, account: usize, taken: u64, used: u64, now_ns: u64) {
        let rates = self.words.load(account + RATES);
        let terms = Terms::from_words(rates, self.words.load(account + TERMS));
        let Some(quota) = terms.and_then(|terms| Quota::per_min(terms.tokens_per_min)) else {
            return;
        };
        if taken == NOT_TAKEN || taken == used {
            return;
        }
        let at = account + TOKENS;
        let mut seen = self.words.load_pair(at);
        loop {
            let bucket = Bucket::from_bits(seen).correct(quota, taken, used, now_ns);
            match self.words.swap_pair(at, seen, bucket.bits()) {
                Ok(()) => return,
                Err(found) => seen = found,
            }
        }
    }

    fn give_tokens_back(&self, account: usize, estimate: u64, now_ns: u64) {
        self.correct_tokens(account, estimate, 0, now_ns);
    }

    /// Writes what the cell is told at its start; the reserve that follows makes it seen.
    fn fill(&self, hold: Hold, request: &Request, reserve: i64, estimate: u64) {
        let tags = Tags {
            kind: Kind::Debit,
            service_class: request.service_class,
            endpoint: request.endpoint,
            flags: if request.is_streamed {
                flag::STREAMED
            } else {
                0
            },
            status: 0,
            engine: u16::MAX,
        };
        let [id_low, id_high] = request_id_words(request.request_id);
        let at = self.cell_at(hold.cell);
        self.words.store_pair(at + cell::USAGE, 0);
        let price = request.price;
        for (field, value) in [
            (cell::ACCOUNT, request.account_id),
            (cell::RESERVED, reserve.cast_unsigned()),
            (cell::AMOUNT, 0),
            (cell::ESTIMATE, estimate),
            (cell::KEY, request.key_id),
            (cell::PRICES, price.prompt),
            (cell::PRICES + 1, price.cached),
            (cell::PRICES + 2, price.completion),
            (cell::MODEL, request.model),
            (cell::TAGS, tags.word()),
            (cell::BEGAN_WALL_MS, request.began_wall_ms),
            (cell::BEGAN_NS, request.began_ns),
            (cell::REQUEST_ID, id_low),
            (cell::REQUEST_ID + 1, id_high),
            (cell::REFERENCE, 0),
        ] {
            self.words.store(at + field, value);
        }
    }
}

impl Hold {
    /// What names this use of a cell in the ledger.
    pub fn ticket(self) -> u64 {
        cell::ticket_of(self.cell, self.generation)
    }

    pub(super) fn operation(self, phase: Phase) -> Operation {
        Operation {
            cell: self.cell,
            generation: self.generation,
            phase,
        }
    }

    pub(super) fn of(cell: u32, state: State) -> Self {
        Self {
            cell,
            generation: state.generation,
        }
    }
}

fn refusal_of(word: AccountWord, terms: &Terms, reserve: i64) -> Option<Refusal> {
    let in_flight_max = match terms.concurrency_max {
        0 => u32::from(IN_FLIGHT_MAX),
        some => some.min(u32::from(IN_FLIGHT_MAX)),
    };
    if u32::from(word.in_flight) >= in_flight_max {
        return Some(Refusal::Concurrency);
    }
    // What costs nothing is not refused for a debt.
    (reserve > 0 && word.available < reserve).then(|| Refusal::Balance {
        missing: reserve - word.available,
    })
}

pub(super) fn request_id_words(id: [u8; 12]) -> [u64; 2] {
    let mut bytes = [0; 16];
    bytes[..12].copy_from_slice(&id);
    let both = u128::from_le_bytes(bytes);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    let words = [both as u64, (both >> 64) as u64];
    words
}
