//! One slot of the key table as sixteen 64-bit words: two cache lines, of which the first holds all
//! that a look-up of a key that was written once needs.
//!
//! ```text
//! word 0..4   digest
//!      4      control: state | active copy | tier | scopes | sequence
//!      5..8   copy A: key id, account id, expiry and load epoch
//!      8..11  copy B: the same
//!      11..16 unused
//! ```
//! A replace writes the copy that is not active and then flips the control word, so a slot is
//! always the old record or the new one, wherever its writer dies.

/// Words of one slot: two cache lines.
pub const SLOT_WORDS: usize = 16;

pub(super) const CONTROL: usize = 4;
const COPIES: [usize; 2] = [5, 8];

/// The largest expiry that a slot can hold: 40 bits, some 34,000 years.
pub const EXPIRES_AT_S_MAX: u64 = (1 << 40) - 1;

/// Load epochs are counted in 24 bits and only ever compared for equality with the newest.
pub(super) const EPOCH_MASK: u64 = (1 << 24) - 1;

/// A key without its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Number of the key in the database.
    pub key_id: u64,
    /// Number of the account that pays.
    pub account_id: u64,
    /// Index into the tiers of `tokenmill.accounts.rules`.
    pub tier: u8,
    /// Bits of `tokenmill.keys.rules.Scope`.
    pub scopes: u16,
    /// Seconds since the epoch from which the key is refused; 0 is never.
    /// At most [`EXPIRES_AT_S_MAX`]; what is above is cut down to it.
    pub expires_at_s: u64,
}

impl KeyRecord {
    /// Whether the key's time is over at `wall_s`.
    pub fn is_expired(&self, wall_s: u64) -> bool {
        self.expires_at_s != 0 && wall_s >= self.expires_at_s
    }

    /// The record as the three words of a copy.
    pub(super) fn to_copy(self, epoch: u64) -> [u64; 3] {
        let expires = self.expires_at_s.min(EXPIRES_AT_S_MAX);
        [
            self.key_id,
            self.account_id,
            expires | (epoch & EPOCH_MASK) << 40,
        ]
    }

    /// The record of a control word and the copy that it names.
    pub(super) fn from_words(control: Control, copy: [u64; 3]) -> Self {
        Self {
            key_id: copy[0],
            account_id: copy[1],
            tier: control.tier(),
            scopes: control.scopes(),
            expires_at_s: copy[2] & EXPIRES_AT_S_MAX,
        }
    }
}

/// The load epoch that a copy was written in.
pub(super) fn epoch_of(copy: [u64; 3]) -> u64 {
    copy[2] >> 40
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotState {
    /// Never used: a probe ends here. The digest words may hold a dead writer's leavings.
    Empty,
    Live,
    Revoked,
}

/// The word that says what a slot is; every change of a slot ends with one store of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Control(pub(super) u64);

impl Control {
    pub(super) fn state(self) -> SlotState {
        match self.0 & 3 {
            0 => SlotState::Empty,
            1 => SlotState::Live,
            _ => SlotState::Revoked,
        }
    }

    /// First word, within the slot, of the copy in force.
    pub(super) fn active_copy(self) -> usize {
        COPIES[usize::from(self.0 & 4 != 0)]
    }

    /// First word of the copy that a writer may write.
    pub(super) fn spare_copy(self) -> usize {
        COPIES[usize::from(self.0 & 4 == 0)]
    }

    fn tier(self) -> u8 {
        self.0.to_le_bytes()[1]
    }

    fn scopes(self) -> u16 {
        let bytes = self.0.to_le_bytes();
        u16::from_le_bytes([bytes[2], bytes[3]])
    }

    /// The word that puts `record` (written to the spare copy) in force.
    pub(super) fn flipped_to_live(self, record: &KeyRecord) -> Self {
        let meta = u64::from(record.tier) << 8 | u64::from(record.scopes) << 16;
        Self(self.next_sequence() | meta | (self.0 & 4 ^ 4) | 1)
    }

    /// The same record, no longer live.
    pub(super) fn revoked(self) -> Self {
        Self(self.next_sequence() | (self.0 & 0xFFFF_FF04) | 2)
    }

    /// Changes with every store, so that a reader notices a write that overtook it.
    fn next_sequence(self) -> u64 {
        (self.0 >> 32).wrapping_add(1) << 32
    }
}
