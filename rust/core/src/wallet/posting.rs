//! The ledger's side: what is settled, freeing it, and the audit. For one process, control.

use super::account::{AccountWord, Phase};
use super::amount::Price;
use super::cell::{
    self, Kind, Metered, Record, Request, Stage, State, TICKET_CELL_BITS, Tags, ticket_of,
};
use super::words::Words;
use super::{Hold, Wallet};

/// How often an audit is begun anew while the account changes under it.
const AUDIT_TRIES: usize = 100;

/// An account at one instant: `available + held = ledger's balance + unposted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Nanos that can be spent.
    pub available: i64,
    /// Nanos that requests under way hold.
    pub held: i64,
    /// What cells that are not freed yet have changed the balance by.
    pub unposted: i64,
}

impl<W: Words> Wallet<'_, W> {
    /// Gives at most `max` settled cells. They stay as they are: a second call gives them again.
    pub fn settled(&self, max: usize) -> impl Iterator<Item = Record> {
        self.claimed_cells()
            .filter_map(|cell| {
                let state = self.state(cell);
                (state.stage == Stage::Settled).then(|| self.record(cell, state))
            })
            .take(max)
    }

    /// Gives at most `max` requests that hold money or are about to be settled, as they are now.
    pub fn held(&self, max: usize) -> impl Iterator<Item = Record> {
        self.claimed_cells()
            .filter_map(|cell| {
                let state = self.state(cell);
                let is_held = matches!(state.stage, Stage::Held | Stage::Settling);
                is_held.then(|| self.record(cell, state))
            })
            .take(max)
    }

    /// Frees the cell of a ticket that is in the ledger; false if it was freed before.
    pub fn free(&self, ticket: u64) -> bool {
        let Ok(cell) = u32::try_from(ticket & ((1 << TICKET_CELL_BITS) - 1)) else {
            return false;
        };
        let state = self.state_checked(cell);
        let is_due = state.stage == Stage::Settled && ticket_of(cell, state.generation) == ticket;
        let free = State {
            owner: 0,
            stage: Stage::Free,
            ..state
        };
        let at = self.cell_at(cell) + cell::STATE;
        is_due && self.words.swap(at, state.word(), free.word())
    }

    /// Cells that are not free.
    pub fn open_cells(&self) -> usize {
        let is_open = |cell: &u32| self.state(*cell).stage != Stage::Free;
        self.claimed_cells().filter(is_open).count()
    }

    /// References of the credits that are not in the ledger for certain.
    pub fn open_credits(&self) -> impl Iterator<Item = u64> {
        self.claimed_cells().filter_map(|cell| {
            let is_credit = Tags::from_word(self.field(cell, cell::TAGS)).kind == Kind::Credit;
            let is_settled = self.state(cell).stage == Stage::Settled;
            (is_credit && is_settled).then(|| self.field(cell, cell::REFERENCE))
        })
    }

    /// The account at one instant; `None` if there is none, or it changes all the time. Must not
    /// run while cells are freed or credits posted: the caller is the one who does both.
    pub fn audit(&self, account_id: u64) -> Option<Audit> {
        let account = self.known_account(account_id).ok()?;
        for _ in 0..AUDIT_TRIES {
            let seen = self.words.load_pair(account);
            let audit = self.audit_against(account_id, AccountWord::from_bits(seen));
            // No operation is ever repeated, so the same word means that nothing happened.
            if self.words.load_pair(account) == seen {
                return Some(audit);
            }
        }
        None
    }

    pub(super) fn has_open_cell(&self, account_id: u64) -> bool {
        self.claimed_cells().any(|cell| {
            self.state(cell).stage != Stage::Free && self.field(cell, cell::ACCOUNT) == account_id
        })
    }

    fn audit_against(&self, account_id: u64, word: AccountWord) -> Audit {
        let mut audit = Audit {
            available: word.available,
            ..Audit::default()
        };
        for cell in self.claimed_cells() {
            let state = self.state(cell);
            if state.stage == Stage::Free || self.field(cell, cell::ACCOUNT) != account_id {
                continue;
            }
            let applied = self.applied(cell, state.generation, word);
            let is_settled = state.stage == Stage::Settled || applied == Some(Phase::Settle);
            let is_held = matches!(state.stage, Stage::Held | Stage::Settling)
                || applied == Some(Phase::Reserve);
            let amount = self.field(cell, cell::AMOUNT).cast_signed();
            if is_settled {
                let is_credit = Tags::from_word(self.field(cell, cell::TAGS)).kind == Kind::Credit;
                audit.unposted += if is_credit { amount } else { -amount };
            } else if is_held {
                audit.held += self.field(cell, cell::RESERVED).cast_signed();
            }
        }
        audit
    }

    fn record(&self, cell: u32, state: State) -> Record {
        let field = |field| self.field(cell, field);
        let tags = Tags::from_word(field(cell::TAGS));
        let metered = Metered::from_bits(self.words.load_pair(self.cell_at(cell) + cell::USAGE));
        let amount = field(cell::AMOUNT).cast_signed();
        let times = field(cell::TIMES);
        let id =
            u128::from(field(cell::REQUEST_ID)) | u128::from(field(cell::REQUEST_ID + 1)) << 64;
        let mut request_id = [0; 12];
        request_id.copy_from_slice(&id.to_le_bytes()[..12]);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        let (duration_ms, first_byte_ms) = (times as u32, (times >> 32) as u32);
        Record {
            ticket: Hold::of(cell, state).ticket(),
            request: Request {
                account_id: field(cell::ACCOUNT),
                key_id: field(cell::KEY),
                model: field(cell::MODEL),
                price: Price {
                    prompt: field(cell::PRICES),
                    cached: field(cell::PRICES + 1),
                    completion: field(cell::PRICES + 2),
                },
                service_class: tags.service_class,
                endpoint: tags.endpoint,
                is_streamed: tags.flags & cell::flag::STREAMED != 0,
                reserve: field(cell::RESERVED).cast_signed(),
                tokens_estimate: field(cell::ESTIMATE),
                request_id,
                began_wall_ms: field(cell::BEGAN_WALL_MS),
                began_ns: field(cell::BEGAN_NS),
            },
            kind: tags.kind,
            amount: if tags.kind == Kind::Credit {
                amount
            } else {
                -amount
            },
            tokens: metered.tokens,
            status: tags.status,
            engine: tags.engine,
            flags: tags.flags,
            ended_wall_ms: field(cell::ENDED_WALL_MS),
            first_byte_ms,
            duration_ms,
            reference: field(cell::REFERENCE),
        }
    }

    fn state_checked(&self, cell: u32) -> State {
        if (cell as usize) < self.map.cells_max {
            return self.state(cell);
        }
        State::from_word(0)
    }
}
