//! The prepaid wallet: money that is held while a request runs and billed on what it used, exact
//! through the death of any process at any instruction.
//!
//! Two things change and no store changes both: an **account word** (available nanos, requests in
//! flight) and a **cell** (one request). Processes die between the two, so a cell says what is
//! about to happen before it does, and the account word says which cell changed it last. A cell
//! goes round:
//!
//! ```text
//! FREE -> HOLDING -> HELD -> SETTLING -> SETTLED -> FREE
//!      claim     reserve   amount      settle     keeper: the ledger has it
//! ```
//!
//! An **operation** is (cell, generation, phase): the reserve or the settle of one use of one cell.
//! Generations rise with every claim, so no two operations of a segment are alike. The account word
//! is swapped whole, with the operation in it. Before anyone replaces another's operation there, it
//! marks that operation as applied in its cell (the mark only rises, so a late marker of an earlier
//! generation does no harm; no mark is needed once the cell has moved on). So this is always true:
//!
//! > An operation was applied if the account word names it, or its cell has its mark, or its cell
//! > stands beyond it; otherwise it was not, and only the cell's owner could apply it.
//!
//! The account word is read first and the mark after it: who replaced the operation had marked it.
//!
//! Only the owner of a cell moves it on, but for the last step. Whoever has proof that the owner is
//! dead (its file lock) is the owner; that it may die too changes nothing, for each row below can
//! be done again from where it was left:
//!
//! | the owner died | the cell says | the rescuer does |
//! |---|---|---|
//! | before or in the claim | FREE | nothing |
//! | after the claim, before the reserve | HOLDING, not applied | frees it: nothing was held |
//! | after the reserve | HOLDING, applied; or HELD | bills the last usage received: SETTLING |
//! | while it wrote how it ended | HELD | the same, its own way |
//! | before the settle | SETTLING, not applied | settles with the amount in the cell |
//! | after the settle | SETTLING, applied | SETTLED |
//! | after that | SETTLED | nothing: the keeper has it |
//!
//! A **credit** goes FREE -> HOLDING -> SETTLED with one operation, the settle; what died before it
//! is freed and its intent posted again by the ledger, what died after it is settled.
//!
//! The **keeper** writes settled cells to the ledger, commits, frees them. If it dies before it
//! frees, it gets the same tickets again, which the ledger knows.
//!
//! **Limits** are taken before the money and corrected after it: what a death loses of them was
//! taken and not given back. A debt is written before the cell is settled (a rescue may write it
//! twice), a refund after (a death may lose it): limits never give more than promised.
//!
//! Knows no clock, file or database; memory is [`Words`]. `tokenmill_io::segment` lends the hot
//! segment, the simulator and the model checker lend their own.

mod account;
mod accounts;
mod admit;
mod amount;
mod cell;
mod claim;
mod limit_headers;
mod posting;
mod settle;
mod words;

pub use account::{ACCOUNT_WORDS, CELLS_BOUND, IN_FLIGHT_MAX, Terms};
pub use accounts::{Allowance, NoRoom, View};
pub use admit::{Admitted, Hold, Refusal};
pub use amount::{NANOS_MAX, Price, Tokens};
pub use cell::{CELL_WORDS, CONTROL, Ending, Kind, Record, Request, Stage, flag};
pub use claim::Claimer;
pub use limit_headers::{Header, write_limit_headers};
pub use posting::Audit;
pub use words::{Words, ordering};

use account::{AccountWord, Operation, Phase};
use cell::State;

/// Where accounts and cells lie in the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    /// Index of the word that says how many cells were ever claimed.
    pub high: usize,
    /// First word of account 0, which nobody has; even.
    pub accounts: usize,
    /// How many there is room for.
    pub accounts_max: usize,
    /// First word of cell 0; even.
    pub cells: usize,
    /// How many cells there are.
    pub cells_max: usize,
}

/// The accounts and cells of a memory. Cheap to make for one call.
#[derive(Clone, Copy)]
pub struct Wallet<'a, W> {
    words: &'a W,
    map: Map,
}

impl<'a, W: Words> Wallet<'a, W> {
    /// The wallet that lies in `words` as `map` says.
    pub fn new(words: &'a W, map: Map) -> Self {
        Self { words, map }
    }

    /// First word of an account, if there is room for its number.
    fn account_at(&self, account_id: u64) -> Option<usize> {
        let index = usize::try_from(account_id).ok()?;
        let is_there = (1..self.map.accounts_max).contains(&index);
        is_there.then(|| self.map.accounts + index * ACCOUNT_WORDS)
    }

    fn cell_at(&self, cell: u32) -> usize {
        self.map.cells + cell as usize * CELL_WORDS
    }

    fn state(&self, cell: u32) -> State {
        State::from_word(self.words.load(self.cell_at(cell) + cell::STATE))
    }

    /// The last step of whatever was written before: a single store.
    fn move_to(&self, stage: Stage, cell: u32, from: State) {
        let word = State { stage, ..from }.word();
        self.words.store(self.cell_at(cell) + cell::STATE, word);
    }

    fn field(&self, cell: u32, field: usize) -> u64 {
        self.words.load(self.cell_at(cell) + field)
    }

    /// Cells that were ever claimed: all others are free.
    fn claimed_cells(&self) -> std::ops::Range<u32> {
        let high = self
            .words
            .load(self.map.high)
            .min(self.map.cells_max as u64);
        0..u32::try_from(high).unwrap_or(u32::MAX)
    }

    /// Changes the account word by an operation, once: the caller knows that it was not applied.
    fn apply<E>(
        &self,
        account: usize,
        operation: Operation,
        change: impl Fn(AccountWord) -> Result<AccountWord, E>,
    ) -> Result<(), E> {
        let mut seen = self.words.load_pair(account);
        loop {
            let word = AccountWord::from_bits(seen);
            let next = AccountWord {
                last: Some(operation),
                ..change(word)?
            };
            if let Some(last) = word.last {
                self.mark(last);
            }
            match self.words.swap_pair(account, seen, next.bits()) {
                Ok(()) => return Ok(()),
                Err(found) => seen = found,
            }
        }
    }

    /// Notes in its cell that an operation was applied, unless nobody will ask any more.
    fn mark(&self, last: Operation) {
        let state = self.state(last.cell);
        let is_asked = state.generation == last.generation
            && match last.phase {
                Phase::Reserve => state.stage == Stage::Holding,
                Phase::Settle => matches!(state.stage, Stage::Holding | Stage::Settling),
            };
        if is_asked {
            let at = self.cell_at(last.cell) + cell::APPLIED;
            self.words.raise(at, last.mark());
        }
    }

    /// The last operation of a use of a cell that its account word or its mark proves.
    fn applied(&self, cell: u32, generation: u32, word: AccountWord) -> Option<Phase> {
        if let Some(last) = word.last
            && (last.cell, last.generation) == (cell, generation)
        {
            return Some(last.phase);
        }
        let mark = self.field(cell, cell::APPLIED);
        if mark >> 2 != u64::from(generation) {
            return None;
        }
        Some(if mark & 3 == Phase::Reserve as u64 {
            Phase::Reserve
        } else {
            Phase::Settle
        })
    }

    fn account_word(&self, account: usize) -> AccountWord {
        AccountWord::from_bits(self.words.load_pair(account))
    }
}
