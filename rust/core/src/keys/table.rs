//! The key table: open addressing with linear probing over shared words; one writer, any number of
//! readers in any process, no lock.
//!
//! **Readers** never wait for a writer. They load a slot's control word, what it names, and the
//! control word again: if it changed, the slot is read anew, and each such turn means that a writer
//! finished one.
//!
//! **The writer** may be killed between any two stores. What is then left:
//!
//! | it died while | readers see | the next writer |
//! |---|---|---|
//! | filling an empty slot | an empty slot | takes it as empty |
//! | replacing a record | the old record | writes the spare copy again |
//! | giving a revoked slot away | a revoked key that nobody has | takes it as revoked |
//! | counting | counts up to one off | recounts in `begin_load` |
//!
//! A revoked key keeps its slot, so that it is refused as revoked and probes still pass it. Its
//! slot goes to another key only when three quarters of the table are occupied. That is safe: the
//! slot stays revoked until digest and record are whole, so a reader who compares half a digest
//! does not match, one who compares all of it is told that the key is revoked a moment before it is
//! made, and one who matched reads the control word again before it believes the record.

use super::Digest;
use super::slot::{CONTROL, Control, EPOCH_MASK, KeyRecord, SLOT_WORDS, SlotState, epoch_of};
use crate::sync::{AtomicU64, Ordering, fence};

/// Words of the counts beside the slots: load epoch, live keys, occupied slots.
pub const COUNT_WORDS: usize = 3;

const EPOCH: usize = 0;
const LIVE: usize = 1;
const OCCUPIED: usize = 2;

/// Slots for `keys_max` live keys: two thirds full at most, about five probes for a miss.
pub const fn slots_for(keys_max: usize) -> usize {
    keys_max + keys_max.div_ceil(2)
}

/// The table holds as many live keys as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFull {
    /// How many live keys it may hold.
    pub keys_max: usize,
}

/// A view of the table; cheap to make for one call.
#[derive(Clone, Copy)]
pub struct KeyTable<'a> {
    slots: &'a [[AtomicU64; SLOT_WORDS]],
    counts: &'a [AtomicU64],
    keys_max: usize,
}

/// Where a digest is, or where it would go.
enum Place {
    Found(usize),
    /// The first revoked slot on the way, and the empty one that ended it.
    Absent {
        reusable: Option<usize>,
        empty: Option<usize>,
    },
}

impl<'a> KeyTable<'a> {
    /// The table in `words` (whole slots) with its `counts` ([`COUNT_WORDS`] words).
    ///
    /// # Panics
    /// If there are fewer counts, or fewer slots than [`slots_for`] says.
    pub fn new(words: &'a [AtomicU64], counts: &'a [AtomicU64], keys_max: usize) -> Self {
        let slots = words.as_chunks().0;
        assert!(counts.len() >= COUNT_WORDS && slots.len() >= slots_for(keys_max).max(1));
        Self {
            slots,
            counts,
            keys_max,
        }
    }

    /// The record of a digest and whether it is live; None if there is no such key.
    pub fn find(&self, digest: Digest) -> Option<(KeyRecord, bool)> {
        for index in self.probe(digest) {
            loop {
                let control = self.control(index);
                if control.state() == SlotState::Empty {
                    return None;
                }
                if !digest.matches(self.digest_words(index)) {
                    break;
                }
                let copy = self.copy(index, control.active_copy());
                // Pairs with the fences in `put` and `store_record`: a reader that saw any word of
                // a newer write also sees the control word that came before it.
                fence(Ordering::Acquire);
                if self.slots[index][CONTROL].load(Ordering::Relaxed) == control.0 {
                    let is_live = control.state() == SlotState::Live;
                    return Some((KeyRecord::from_words(control, copy), is_live));
                }
            }
        }
        None
    }

    /// Makes the key, or replaces its record; a revoked key is live again.
    ///
    /// # Errors
    /// [`TableFull`] when `keys_max` keys are live.
    pub fn put(&self, digest: Digest, record: &KeyRecord) -> Result<(), TableFull> {
        let (reusable, empty) = match self.place(digest) {
            Place::Found(index) => return self.replace(index, record),
            Place::Absent { reusable, empty } => (reusable, empty),
        };
        self.check_room()?;
        let is_crowded = self.count(OCCUPIED) >= self.slots.len() - self.slots.len() / 4;
        let reused = if is_crowded {
            reusable.or(empty)
        } else {
            empty.or(reusable)
        };
        let index = reused.ok_or(TableFull {
            keys_max: self.keys_max,
        })?;
        if self.control(index).state() == SlotState::Empty {
            self.store_count(OCCUPIED, self.count(OCCUPIED) + 1);
        }
        // A reader that saw a word of the new digest also sees that the slot was revoked before: it
        // never takes the old key's record for the new key's.
        fence(Ordering::Release);
        for (word, value) in digest.words().into_iter().enumerate() {
            store(&self.slots[index][word], value, Ordering::Relaxed);
        }
        self.store_record(index, record);
        self.store_count(LIVE, self.count(LIVE) + 1);
        Ok(())
    }

    /// Whether the key was live; it is refused from the moment that this returns.
    pub fn revoke(&self, digest: Digest) -> bool {
        match self.place(digest) {
            Place::Found(index) => self.revoke_slot(index),
            Place::Absent { .. } => false,
        }
    }

    /// Live keys, expired ones included.
    pub fn live_count(&self) -> usize {
        self.count(LIVE)
    }

    /// Begins a load of all keys: what is not put before [`Self::end_load`] is then revoked.
    /// Recounts the table, as its last writer may have died while counting.
    pub fn begin_load(&self) {
        let epoch = (self.counts[EPOCH].load(Ordering::Relaxed) + 1) & EPOCH_MASK;
        store(&self.counts[EPOCH], epoch, Ordering::Relaxed);
        if self.count(OCCUPIED) == 0 {
            return; // A new table: no page of it is touched.
        }
        let states = || self.slots.iter().map(|slot| read_control(slot).state());
        self.store_count(
            OCCUPIED,
            states().filter(|state| *state != SlotState::Empty).count(),
        );
        self.store_count(
            LIVE,
            states().filter(|state| *state == SlotState::Live).count(),
        );
    }

    /// Revokes every live key that was not put since [`Self::begin_load`]; returns how many.
    pub fn end_load(&self) -> usize {
        let epoch = self.counts[EPOCH].load(Ordering::Relaxed);
        let is_stale = |index: &usize| {
            let control = self.control(*index);
            control.state() == SlotState::Live
                && epoch_of(self.copy(*index, control.active_copy())) != epoch
        };
        if self.count(OCCUPIED) == 0 {
            return 0;
        }
        (0..self.slots.len())
            .filter(is_stale)
            .filter(|index| self.revoke_slot(*index))
            .count()
    }

    /// Slots in the order in which a digest is looked for.
    fn probe(&self, digest: Digest) -> impl Iterator<Item = usize> + use<> {
        let slots = self.slots.len();
        let home = home(digest, slots);
        (home..slots).chain(0..home)
    }

    fn place(&self, digest: Digest) -> Place {
        let mut reusable = None;
        for index in self.probe(digest) {
            match self.control(index).state() {
                SlotState::Empty => {
                    return Place::Absent {
                        reusable,
                        empty: Some(index),
                    };
                }
                SlotState::Live | SlotState::Revoked
                    if digest.matches(self.digest_words(index)) =>
                {
                    return Place::Found(index);
                }
                SlotState::Revoked => {
                    reusable = reusable.or(Some(index));
                }
                SlotState::Live => {}
            }
        }
        Place::Absent {
            reusable,
            empty: None,
        }
    }

    fn check_room(&self) -> Result<(), TableFull> {
        if self.count(LIVE) < self.keys_max {
            return Ok(());
        }
        Err(TableFull {
            keys_max: self.keys_max,
        })
    }

    fn replace(&self, index: usize, record: &KeyRecord) -> Result<(), TableFull> {
        let was_live = self.control(index).state() == SlotState::Live;
        if !was_live {
            self.check_room()?;
        }
        self.store_record(index, record);
        if !was_live {
            self.store_count(LIVE, self.count(LIVE) + 1);
        }
        Ok(())
    }

    fn revoke_slot(&self, index: usize) -> bool {
        let control = self.control(index);
        if control.state() != SlotState::Live {
            return false;
        }
        self.store_control(index, control.revoked());
        self.store_count(LIVE, self.count(LIVE).saturating_sub(1));
        true
    }

    /// Writes the spare copy, then puts it in force with one store.
    fn store_record(&self, index: usize, record: &KeyRecord) {
        let control = self.control(index);
        let spare = control.spare_copy();
        // A reader may still read the spare copy as the active one of two writes ago; the fence
        // makes the control word that ended those visible before any word of this write.
        fence(Ordering::Release);
        let copy = record.to_copy(self.counts[EPOCH].load(Ordering::Relaxed));
        for (offset, value) in copy.into_iter().enumerate() {
            store(&self.slots[index][spare + offset], value, Ordering::Relaxed);
        }
        self.store_control(index, control.flipped_to_live(record));
    }

    fn control(&self, index: usize) -> Control {
        read_control(&self.slots[index])
    }

    fn digest_words(&self, index: usize) -> [u64; 4] {
        std::array::from_fn(|word| self.slots[index][word].load(Ordering::Relaxed))
    }

    fn copy(&self, index: usize, first: usize) -> [u64; 3] {
        std::array::from_fn(|word| self.slots[index][first + word].load(Ordering::Relaxed))
    }

    fn count(&self, which: usize) -> usize {
        usize::try_from(self.counts[which].load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    fn store_count(&self, which: usize, value: usize) {
        store(&self.counts[which], value as u64, Ordering::Relaxed);
    }

    fn store_control(&self, index: usize, control: Control) {
        store(&self.slots[index][CONTROL], control.0, Ordering::Release);
    }
}

/// The one place where the table changes, so that tests can stop a writer before any store.
fn store(word: &AtomicU64, value: u64, ordering: Ordering) {
    #[cfg(test)]
    super::table_tests::crash_if_due();
    word.store(value, ordering);
}

fn read_control(slot: &[AtomicU64; SLOT_WORDS]) -> Control {
    Control(slot[CONTROL].load(Ordering::Acquire))
}

/// The slot where the search for a digest begins. Digests are SHA-256, so their first word is
/// uniform; the multiplication maps it to any number of slots without a division.
fn home(digest: Digest, slots: usize) -> usize {
    let scaled = u128::from(digest.words()[0]) * (slots as u128);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "less than slots, which is a usize"
    )]
    let index = (scaled >> 64) as usize;
    index
}
