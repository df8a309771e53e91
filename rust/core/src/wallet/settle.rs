//! The ends of cells: a request settles, a credit is posted, a dead owner's cells are rescued.

use super::account::{AccountWord, Operation, Phase};
use super::amount::{NANOS_MAX, Price};
use super::cell::{self, Ending, Kind, Metered, Stage, State, Tags, flag};
use super::claim::Claimer;
use super::words::Words;
use super::{Hold, Refusal, Wallet};

/// The status of a request whose worker died.
const STATUS_DIED: u16 = 500;

const MS_NS: u64 = 1_000_000;

impl<W: Words> Wallet<'_, W> {
    /// Bills what was received and gives back the rest; the cost in nanos. The caller owns the
    /// hold and comes here once.
    pub fn settle(&self, hold: Hold, ending: &Ending) -> i64 {
        let state = self.state(hold.cell);
        let cost = self.write_ending(hold, ending, 0);
        self.move_to(Stage::Settling, hold.cell, state);
        self.finish(hold.cell, state, None, ending.now_ns);
        cost
    }

    /// Adds to a balance (or takes from it); the ticket. The cell is settled when this returns.
    ///
    /// # Errors
    /// [`Refusal::NoAccount`], [`Refusal::NoCell`], [`Refusal::Balance`]: it does not cover what is
    /// taken, or would grow past [`NANOS_MAX`].
    pub fn credit(
        &self,
        claimer: &mut Claimer,
        account_id: u64,
        nanos: i64,
        reference: u64,
        times: (u64, u64),
    ) -> Result<u64, Refusal> {
        let (wall_ms, now_ns) = times;
        let account = self.known_account(account_id)?;
        let hold = claimer.claim(self, now_ns).ok_or(Refusal::NoCell)?;
        let tags = Tags {
            kind: Kind::Credit,
            engine: u16::MAX,
            ..Tags::default()
        };
        let at = self.cell_at(hold.cell);
        self.words.store_pair(at + cell::USAGE, 0);
        for (field, value) in [
            (cell::ACCOUNT, account_id),
            (cell::RESERVED, 0),
            (cell::AMOUNT, nanos.cast_unsigned()),
            (cell::ESTIMATE, 0),
            (cell::KEY, 0),
            (cell::PRICES, 0),
            (cell::PRICES + 1, 0),
            (cell::PRICES + 2, 0),
            (cell::MODEL, 0),
            (cell::TAGS, tags.word()),
            (cell::BEGAN_WALL_MS, wall_ms),
            (cell::BEGAN_NS, now_ns),
            (cell::ENDED_WALL_MS, wall_ms),
            (cell::TIMES, 0),
            (cell::REQUEST_ID, 0),
            (cell::REQUEST_ID + 1, 0),
            (cell::REFERENCE, reference),
        ] {
            self.words.store(at + field, value);
        }
        let posted = self.apply(account, hold.operation(Phase::Settle), |word| {
            let after = word.available.saturating_add(nanos);
            if after > NANOS_MAX || (nanos < 0 && after < 0) {
                let missing = if nanos < 0 { after.saturating_neg() } else { 0 };
                return Err(Refusal::Balance { missing });
            }
            Ok(word.with(nanos))
        });
        let state = self.state(hold.cell);
        match posted {
            Ok(()) => self.move_to(Stage::Settled, hold.cell, state),
            Err(refusal) => {
                self.move_to(Stage::Free, hold.cell, state);
                return Err(refusal);
            }
        }
        Ok(hold.ticket())
    }

    /// Ends the cells of an owner that is dead for certain, as the table in [`super`] says; how
    /// many. Whoever calls has the sole right to; if it dies, the next one goes on.
    pub fn rescue(&self, owner: u16, wall_ms: u64, now_ns: u64) -> usize {
        let mut count = 0;
        for cell in self.claimed_cells() {
            let state = self.state(cell);
            let is_open = !matches!(state.stage, Stage::Free | Stage::Settled);
            if is_open && state.owner == owner {
                self.rescue_cell(cell, state, wall_ms, now_ns);
                count += 1;
            }
        }
        count
    }

    fn rescue_cell(&self, cell: u32, state: State, wall_ms: u64, now_ns: u64) {
        // A cell that was claimed and not yet filled names the account of its last use: no
        // operation of this generation is applied there.
        let Some(account) = self.account_at(self.field(cell, cell::ACCOUNT)) else {
            self.move_to(Stage::Free, cell, state);
            return;
        };
        let applied = self.applied(cell, state.generation, self.account_word(account));
        match (state.stage, applied) {
            (Stage::Holding, None) => self.move_to(Stage::Free, cell, state),
            (Stage::Holding, Some(Phase::Settle)) => self.move_to(Stage::Settled, cell, state),
            (Stage::Settling, _) => self.finish(cell, state, applied, now_ns),
            _ => {
                let ending = Ending {
                    status: STATUS_DIED,
                    engine: Tags::from_word(self.field(cell, cell::TAGS)).engine,
                    first_byte_ms: None,
                    wall_ms,
                    now_ns,
                    prompt_estimate: None,
                };
                self.write_ending(Hold::of(cell, state), &ending, flag::RESCUED);
                self.move_to(Stage::Settling, cell, state);
                self.finish(cell, state, applied, now_ns);
            }
        }
    }

    /// SETTLING to SETTLED; `applied` is what is proven of the cell's operations.
    fn finish(&self, cell: u32, state: State, applied: Option<Phase>, now_ns: u64) {
        let account = self.account_at(self.field(cell, cell::ACCOUNT));
        let taken = self.field(cell, cell::ESTIMATE);
        let metered = Metered::from_bits(self.words.load_pair(self.cell_at(cell) + cell::USAGE));
        let used = metered.tokens.total();
        if let Some(account) = account {
            if used > taken {
                self.correct_tokens(account, taken, used, now_ns);
            }
            if applied != Some(Phase::Settle) {
                self.settle_account(cell, state, account);
            }
        }
        self.move_to(Stage::Settled, cell, state);
        // The estimate of an abandoned call stays taken.
        let is_abandoned = metered.flags & flag::ESTIMATED != 0;
        if let (Some(account), true) = (account, used < taken && !is_abandoned) {
            self.correct_tokens(account, taken, used, now_ns);
        }
    }

    fn settle_account(&self, cell: u32, state: State, account: usize) {
        let reserved = self.field(cell, cell::RESERVED).cast_signed();
        let cost = self.field(cell, cell::AMOUNT).cast_signed();
        let operation = Operation {
            cell,
            generation: state.generation,
            phase: Phase::Settle,
        };
        let settled: Result<(), std::convert::Infallible> =
            self.apply(account, operation, |word| {
                Ok(AccountWord {
                    in_flight: word.in_flight.saturating_sub(1),
                    ..word.with(reserved - cost)
                })
            });
        match settled {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }

    /// Writes cost and circumstances; the cost.
    fn write_ending(&self, hold: Hold, ending: &Ending, extra_flags: u8) -> i64 {
        let at = self.cell_at(hold.cell);
        let mut metered = Metered::from_bits(self.words.load_pair(at + cell::USAGE));
        if metered.flags & flag::METERED == 0
            && let Some(prompt) = ending.prompt_estimate
        {
            metered.tokens.prompt = prompt;
            metered.flags |= flag::ESTIMATED;
            self.words.store_pair(at + cell::USAGE, metered.bits());
        }
        let price = Price {
            prompt: self.field(hold.cell, cell::PRICES),
            cached: self.field(hold.cell, cell::PRICES + 1),
            completion: self.field(hold.cell, cell::PRICES + 2),
        };
        let cost = price.cost(metered.tokens);
        let mut tags = Tags::from_word(self.field(hold.cell, cell::TAGS));
        tags.flags = tags.flags & flag::STREAMED | metered.flags | extra_flags;
        tags.status = ending.status;
        tags.engine = ending.engine;
        let began_ns = self.field(hold.cell, cell::BEGAN_NS);
        let duration_ms = ending.now_ns.saturating_sub(began_ns) / MS_NS;
        let duration_ms = u32::try_from(duration_ms).unwrap_or(u32::MAX);
        let first_byte_ms = ending.first_byte_ms.unwrap_or(u32::MAX);
        for (field, value) in [
            (cell::AMOUNT, cost.cast_unsigned()),
            (cell::TAGS, tags.word()),
            (cell::ENDED_WALL_MS, ending.wall_ms),
            (
                cell::TIMES,
                u64::from(duration_ms) | u64::from(first_byte_ms) << 32,
            ),
        ] {
            self.words.store(at + field, value);
        }
        cost
    }
}
