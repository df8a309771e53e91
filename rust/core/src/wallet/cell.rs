//! One cell: a request from its admission until it is in the ledger. Three cache lines.
//!
//! ```text
//! word 0      state: generation | owner | where it stands
//!      1      the last of its operations that another process saw applied (`Operation::mark`)
//!      2..4   the last usage received, written at once
//!      4..8   account, reserved nanos, amount (credit: what to add; debit: the cost), estimate
//!      8..12  key, three prices
//!      12..16 model, tags, began (wall ms), began (monotonic ns)
//!      16..20 ended (wall ms), times, request id
//!      20     reference
//! ```

use super::amount::{Price, Tokens};

/// Words of one cell.
pub const CELL_WORDS: usize = 24;

pub(super) const STATE: usize = 0;
pub(super) const APPLIED: usize = 1;
pub(super) const USAGE: usize = 2;
pub(super) const ACCOUNT: usize = 4;
pub(super) const RESERVED: usize = 5;
pub(super) const AMOUNT: usize = 6;
pub(super) const ESTIMATE: usize = 7;
pub(super) const KEY: usize = 8;
pub(super) const PRICES: usize = 9;
pub(super) const MODEL: usize = 12;
pub(super) const TAGS: usize = 13;
pub(super) const BEGAN_WALL_MS: usize = 14;
pub(super) const BEGAN_NS: usize = 15;
pub(super) const ENDED_WALL_MS: usize = 16;
pub(super) const TIMES: usize = 17;
pub(super) const REQUEST_ID: usize = 18;
pub(super) const REFERENCE: usize = 20;

/// Bits of [`Record::flags`].
pub mod flag {
    /// The answer was streamed.
    pub const STREAMED: u8 = 1;
    /// The engine sent usage.
    pub const METERED: u8 = 2;
    /// No usage came; the prompt was counted from its bytes.
    pub const ESTIMATED: u8 = 4;
    /// Its owner died; whoever had proof of that ended it.
    pub const RESCUED: u8 = 8;
}

/// The owner of credits: control.
pub const CONTROL: u16 = u16::MAX;

/// Where a cell stands. See the table in [`super`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nobody has it.
    Free,
    /// Its owner is about to reserve; the account may or may not have changed.
    Holding,
    /// The money is held.
    Held,
    /// Its amount stands; the account may or may not have changed.
    Settling,
    /// The account has changed; it waits for the ledger.
    Settled,
}

/// The word that says who has the cell and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub generation: u32,
    pub owner: u16,
    pub stage: Stage,
}

impl State {
    #[expect(clippy::cast_possible_truncation, reason = "the parts of the word")]
    pub fn from_word(word: u64) -> Self {
        Self {
            generation: (word >> 32) as u32,
            owner: (word >> 8) as u16,
            stage: match word as u8 {
                0 => Stage::Free,
                1 => Stage::Holding,
                2 => Stage::Held,
                3 => Stage::Settling,
                _ => Stage::Settled,
            },
        }
    }

    pub fn word(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.owner) << 8 | self.stage as u64
    }
}

/// Debit or credit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    #[default]
    Debit = 1,
    /// A top-up or a refund.
    Credit = 2,
}

/// What a request's cell is told at its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Who pays.
    pub account_id: u64,
    /// By which key.
    pub key_id: u64,
    /// Number of the model.
    pub model: u64,
    /// What its tokens cost.
    pub price: Price,
    /// 0 real-time, 1 batch in an hour, 2 batch in a day.
    pub service_class: u8,
    /// 0 chat, 1 completions, 2 embeddings.
    pub endpoint: u8,
    /// Whether the answer is streamed.
    pub is_streamed: bool,
    /// Nanos to hold.
    pub reserve: i64,
    /// Tokens to take from the minute's bucket.
    pub tokens_estimate: u64,
    /// Twelve bytes that name it in logs.
    pub request_id: [u8; 12],
    /// Wall time of its start.
    pub began_wall_ms: u64,
    /// Monotonic time of its start.
    pub began_ns: u64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The HTTP status that stands for it.
    pub status: u16,
    /// The engine's slot.
    pub engine: u16,
    /// From its start to the first byte of the answer; `None`: none came.
    pub first_byte_ms: Option<u32>,
    /// Wall time of its end.
    pub wall_ms: u64,
    /// Monotonic time of its end.
    pub now_ns: u64,
    /// Tokens of a prompt that is billed though no usage came.
    pub prompt_estimate: Option<u32>,
}

/// The last usage that was received, packed for one store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Metered {
    pub tokens: Tokens,
    pub flags: u8,
}

impl Metered {
    #[expect(clippy::cast_possible_truncation, reason = "the parts of the pair")]
    pub fn from_bits(bits: u128) -> Self {
        Self {
            tokens: Tokens {
                prompt: bits as u32,
                cached: (bits >> 32) as u32,
                completion: (bits >> 64) as u32,
            },
            flags: (bits >> 96) as u8,
        }
    }

    pub fn bits(self) -> u128 {
        u128::from(self.tokens.prompt)
            | u128::from(self.tokens.cached) << 32
            | u128::from(self.tokens.completion) << 64
            | u128::from(self.flags) << 96
    }
}

/// Small facts of a cell in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tags {
    pub kind: Kind,
    pub service_class: u8,
    pub endpoint: u8,
    pub flags: u8,
    pub status: u16,
    pub engine: u16,
}

impl Tags {
    pub fn word(self) -> u64 {
        let [status_low, status_high] = self.status.to_le_bytes();
        let [engine_low, engine_high] = self.engine.to_le_bytes();
        u64::from_le_bytes([
            self.kind as u8,
            self.service_class,
            self.endpoint,
            self.flags,
            status_low,
            status_high,
            engine_low,
            engine_high,
        ])
    }

    pub fn from_word(word: u64) -> Self {
        let bytes = word.to_le_bytes();
        Self {
            kind: if bytes[0] == Kind::Credit as u8 {
                Kind::Credit
            } else {
                Kind::Debit
            },
            service_class: bytes[1],
            endpoint: bytes[2],
            flags: bytes[3],
            status: u16::from_le_bytes([bytes[4], bytes[5]]),
            engine: u16::from_le_bytes([bytes[6], bytes[7]]),
        }
    }
}

/// A settled cell as the ledger gets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Unlike any other of this segment.
    pub ticket: u64,
    /// What it was told at its start.
    pub request: Request,
    /// Debit or credit.
    pub kind: Kind,
    /// What the balance changes by.
    pub amount: i64,
    /// What is billed.
    pub tokens: Tokens,
    /// The HTTP status that stands for its end.
    pub status: u16,
    /// The engine's slot; `u16::MAX`: none.
    pub engine: u16,
    /// Bits of [`flag`].
    pub flags: u8,
    /// Wall time of its end.
    pub ended_wall_ms: u64,
    /// To the first byte; `u32::MAX`: none came.
    pub first_byte_ms: u32,
    /// From start to end.
    pub duration_ms: u32,
    /// Whose credit it is.
    pub reference: u64,
}

/// Bits of a ticket that name the cell.
pub(super) const TICKET_CELL_BITS: u32 = 18;

pub(super) fn ticket_of(cell: u32, generation: u32) -> u64 {
    u64::from(generation) << TICKET_CELL_BITS | u64::from(cell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_keep_everything(
            generation: u32, owner: u16, stage in 0_usize..5, prompt: u32, cached: u32,
            completion: u32, flags: u8, status: u16, engine: u16, is_credit: bool,
        ) {
            let stages =
                [Stage::Free, Stage::Holding, Stage::Held, Stage::Settling, Stage::Settled];
            let state = State { generation, owner, stage: stages[stage] };
            prop_assert_eq!(State::from_word(state.word()), state);
            let metered = Metered { tokens: Tokens { prompt, cached, completion }, flags };
            prop_assert_eq!(Metered::from_bits(metered.bits()), metered);
            let kind = if is_credit { Kind::Credit } else { Kind::Debit };
            let tags = Tags { kind, service_class: flags, endpoint: 2, flags, status, engine };
            prop_assert_eq!(Tags::from_word(tags.word()), tags);
        }
    }
}
