//! Which engine was sent which beginning of a prompt: a table of fixed size that forgets.
//!
//! A set of eight words, one cache line, holds what hashes to it; a word is one engine that holds
//! one beginning, and a set has at most four of them. A beginning is *famous* while all four were
//! sent it of late: then others that hold it are remembered in one of two more sets, and when that
//! is full too in one of four, and so on, each engine where its number puts it. Whoever looks for
//! holders of a famous one sees one set of each size, another one each time. A holder of a long
//! beginning holds all shorter ones, so this is done for the longest famous one of a prompt alone.
//!
//! Words are written without order and without a lock, by any process: each is whole
//! by itself, and one that is lost or is mistaken for another (once in half a billion) sends a
//! request to an engine that has to compute its prompt anew, no more.

use std::sync::atomic::{AtomicU64, Ordering};

use super::mixed;
use super::prompt::Beginnings;

/// Words of a set.
pub const SET_WORDS: usize = 8;
/// Engines that one set remembers for a beginning: a famous one must not push out all others.
const HOLDERS_MAX: usize = 4;
/// Sizes of what else a famous beginning has: 2, 4, … 128 sets, enough for a thousand engines.
const FURTHER: usize = 7;
/// "Of late": who was sent it longer ago gives way to whoever is sent it now.
const LATELY_MS: u64 = 16 * 1_000;
/// How long a beginning that nobody asked for is taken to be in its engine's cache.
const HELD_MS: u64 = 20 * 60 * 1_000;

const ENGINE_BITS: u32 = 12;
/// Slots of engines are below it.
pub(super) const ENGINES_BOUND: usize = 1 << ENGINE_BITS;
const AGE_BITS: u32 = 20;
const AGE_MASK: u64 = (1 << AGE_BITS) - 1;
/// Times are kept in quarters of a second.
const TICK_BITS: u32 = 8;

/// An engine that was sent a beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its slot.
    pub engine: usize,
    /// How long ago that was, the last time.
    pub age_ms: u64,
}

/// Engines that hold a beginning, in no order, as one set tells them.
#[derive(Debug, Clone, Copy)]
pub struct Holders {
    some: [Holder; HOLDERS_MAX],
    count: usize,
    /// All of them were sent it of late: there may be more.
    pub are_many: bool,
}

impl Default for Holders {
    fn default() -> Self {
        let nobody = Holder {
            engine: 0,
            age_ms: 0,
        };
        Self {
            some: [nobody; HOLDERS_MAX],
            count: 0,
            are_many: false,
        }
    }
}

impl IntoIterator for Holders {
    type Item = Holder;
    type IntoIter = std::iter::Take<std::array::IntoIter<Holder, HOLDERS_MAX>>;

    fn into_iter(self) -> Self::IntoIter {
        self.some.into_iter().take(self.count)
    }
}

/// The table, over words that may be shared with other processes.
#[derive(Debug, Clone, Copy)]
pub struct PrefixIndex<'a> {
    words: &'a [AtomicU64],
    sets_mask: usize,
}

impl<'a> PrefixIndex<'a> {
    /// The table in `words`, of which a power of two of sets is used; in fewer than eight words
    /// nothing is remembered.
    pub fn new(words: &'a [AtomicU64]) -> Self {
        let sets = words.len() / SET_WORDS;
        Self {
            words,
            sets_mask: if sets == 0 {
                0
            } else {
                (1 << sets.ilog2()) - 1
            },
        }
    }

    /// Engines that hold the beginning with this hash, at most four; those of a famous one are not
    /// all.
    pub fn holders(&self, hash: u64, now_ms: u64) -> Holders {
        holders_in(self.set(hash), hash, now_ms)
    }

    /// Some of the others that hold a famous beginning, at most four of each size; which is by lot.
    pub fn further_holders(
        self,
        hash: u64,
        lot: u64,
        now_ms: u64,
    ) -> impl Iterator<Item = Holder> + use<'a> {
        let places: [u64; FURTHER] = std::array::from_fn(|at| further(hash, at, lot));
        self.fetch(&places);
        let mut is_behind_full = true;
        places
            .into_iter()
            .map(move |place| holders_in(self.set(place), hash, now_ms))
            .take_while(move |found| std::mem::replace(&mut is_behind_full, found.are_many))
            .flatten()
    }

    /// Brings the sets of these hashes near, all at once: one after the other each would be waited
    /// for, and that is most of what a choice costs where much is held.
    pub fn fetch(&self, hashes: &[u64]) {
        let first = |hash: &u64| self.set(*hash).first();
        let words = hashes.iter().filter_map(first);
        let read = words.fold(0, |read, word| read ^ word.load(Ordering::Relaxed));
        std::hint::black_box(read);
    }

    /// Remembers that `engine` was sent a prompt with these beginnings.
    pub fn note(&self, beginnings: &Beginnings, engine: usize, now_ms: u64) {
        let mut longest_famous = None;
        // The longest last: where two lie in one set, it is the one that stays.
        for hash in beginnings.hashes() {
            let has_room = self.note_one(*hash, *hash, engine, now_ms);
            if self.holders(*hash, now_ms).are_many {
                longest_famous = Some((*hash, has_room));
            }
        }
        if let Some((hash, false)) = longest_famous {
            let lot = mixed(engine as u64);
            for size in 0..FURTHER {
                if self.note_one(hash, further(hash, size, lot), engine, now_ms) {
                    break;
                }
            }
        }
    }

    /// Remembers it in the set of `place`; whether those that were sent it of late leave room.
    fn note_one(&self, hash: u64, place: u64, engine: usize, now_ms: u64) -> bool {
        let set = self.set(place);
        let fresh = word_of(hash, engine, now_ms);
        let words: Vec8 =
            std::array::from_fn(|at| set.get(at).map_or(0, |word| word.load(Ordering::Relaxed)));
        let Some(at) = place_for(&words, fresh, now_ms) else {
            return false;
        };
        if words[at] != fresh
            && let Some(word) = set.get(at)
        {
            word.store(fresh, Ordering::Relaxed);
        }
        true
    }

    fn set(&self, hash: u64) -> &'a [AtomicU64] {
        #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
        let first = (hash as usize & self.sets_mask) * SET_WORDS;
        self.words.get(first..first + SET_WORDS).unwrap_or(&[])
    }
}

type Vec8 = [u64; SET_WORDS];

fn holders_in(set: &[AtomicU64], hash: u64, now_ms: u64) -> Holders {
    let tag = tag_of(hash);
    let mut found = Holders::default();
    let mut late = 0;
    for word in set {
        let word = word.load(Ordering::Relaxed);
        if word >> (ENGINE_BITS + AGE_BITS) != tag || found.count == HOLDERS_MAX {
            continue;
        }
        let holder = holder_of(word, now_ms);
        if holder.age_ms < HELD_MS {
            found.some[found.count] = holder;
            found.count += 1;
        }
        late += usize::from(holder.age_ms < LATELY_MS);
    }
    found.are_many = late == HOLDERS_MAX;
    found
}

/// Which set of this size a lot has for a famous beginning, as the hash of another beginning.
fn further(hash: u64, size: usize, lot: u64) -> u64 {
    let sets = 2 << size;
    mixed(hash ^ (sets | lot & (sets - 1)))
}

/// Where a word goes: over the same pair, else over the oldest of a beginning that has enough
/// holders, else into an empty place, else over the oldest of all. `None`: all of its holders were
/// sent it of late.
fn place_for(words: &Vec8, fresh: u64, now_ms: u64) -> Option<usize> {
    let tag = fresh >> (ENGINE_BITS + AGE_BITS);
    let mut holders = 0;
    // Places and how old what lies there is, of this beginning's and of all.
    let (mut own, mut any) = ((0, 0), (0, 0));
    for (at, word) in words.iter().enumerate() {
        let age = match *word {
            0 => u64::MAX,
            word if word >> AGE_BITS == fresh >> AGE_BITS => return Some(at),
            word => holder_of(word, now_ms).age_ms,
        };
        if word >> (ENGINE_BITS + AGE_BITS) == tag {
            holders += 1;
            own = own.max((age, at));
        }
        any = any.max((age, at));
    }
    match own {
        _ if holders < HOLDERS_MAX => Some(any.1),
        (age, at) => (age >= LATELY_MS).then_some(at),
    }
}

fn tag_of(hash: u64) -> u64 {
    hash >> 32 | 1 // never 0: an empty word has no tag
}

fn word_of(hash: u64, engine: usize, now_ms: u64) -> u64 {
    let engine = engine as u64 & ((1 << ENGINE_BITS) - 1);
    let at = now_ms >> TICK_BITS & AGE_MASK;
    tag_of(hash) << (ENGINE_BITS + AGE_BITS) | engine << AGE_BITS | at
}

fn holder_of(word: u64, now_ms: u64) -> Holder {
    let ticks = (now_ms >> TICK_BITS).wrapping_sub(word) & AGE_MASK;
    let engine = word >> AGE_BITS & ((1 << ENGINE_BITS) - 1);
    Holder {
        engine: usize::try_from(engine).unwrap_or(0),
        age_ms: ticks << TICK_BITS,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use proptest::prelude::*;

    fn table(sets: usize) -> Vec<AtomicU64> {
        let zero = || AtomicU64::new(0);
        std::iter::repeat_with(zero)
            .take(sets * SET_WORDS)
            .collect()
    }

    fn prompt(number: u64) -> Beginnings {
        let text: Vec<u8> = number
            .to_le_bytes()
            .iter()
            .copied()
            .cycle()
            .take(1_000)
            .collect();
        Beginnings::of(&text, 3)
    }

    fn engines(index: &PrefixIndex<'_>, hash: u64, now_ms: u64) -> Vec<usize> {
        let mut found: Vec<_> = index
            .holders(hash, now_ms)
            .into_iter()
            .map(|one| one.engine)
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn what_was_sent_is_held_until_it_is_old() {
        let words = table(64);
        let index = PrefixIndex::new(&words);
        let sent = prompt(1);
        index.note(&sent, 4_095, 10_000);
        for hash in sent.hashes() {
            assert_eq!(engines(&index, *hash, 10_000 + HELD_MS - 1_000), [4_095]);
            assert_eq!(engines(&index, *hash, 10_000 + HELD_MS + 1_000), [0; 0]);
        }
        assert_eq!(engines(&index, prompt(2).hashes()[0], 10_000), [0; 0]);
    }

    #[test]
    fn a_beginning_has_few_holders_and_the_last_ones_stay() {
        let words = table(1);
        let index = PrefixIndex::new(&words);
        let [sent, other] = [b'1', b'2'].map(|byte| Beginnings::of(&[byte; 300], 3));
        let hash = sent.hashes()[0];
        for engine in 0..20 {
            index.note(&sent, engine, LATELY_MS * (engine as u64 + 1));
        }
        let now_ms = LATELY_MS * 21;
        assert_eq!(engines(&index, hash, now_ms), [16, 17, 18, 19]);
        // A known holder takes no second place.
        index.note(&sent, 17, now_ms);
        assert_eq!(engines(&index, hash, now_ms), [16, 17, 18, 19]);
        // And leaves half of the set to others.
        index.note(&other, 1, now_ms);
        assert_eq!(engines(&index, other.hashes()[0], now_ms), [1]);
        assert_eq!(engines(&index, hash, now_ms), [16, 17, 18, 19]);
    }

    #[test]
    fn of_a_famous_beginning_all_holders_are_found_some_at_a_time() {
        let words = table(4_096);
        let index = PrefixIndex::new(&words);
        let sent = prompt(1);
        let (short, long) = (sent.hashes()[0], sent.hashes()[2]);
        let found = |hash: u64, now_ms: u64| {
            let mut found = HashSet::new();
            for lot in 0..2_000 {
                let some: Vec<_> = index
                    .further_holders(hash, mixed(lot), now_ms)
                    .map(|one| one.engine)
                    .collect();
                assert!(some.len() <= FURTHER * HOLDERS_MAX);
                found.extend(some);
            }
            found
        };
        (0..4).for_each(|engine| index.note(&sent, engine, 1_000));
        assert!(index.holders(long, 1_000).are_many);
        assert_eq!(found(long, 1_000), HashSet::new());
        for engine in (0..300).chain(0..300) {
            index.note(&sent, engine, 2_000);
        }
        assert_eq!(engines(&index, long, 2_000), [0, 1, 2, 3]);
        assert_eq!(found(long, 2_000), (4..300).collect());
        assert_eq!(found(short, 2_000), HashSet::new(), "the longest has them");
        // When nobody asks for it any more the next engine takes the place of an old one.
        let later_ms = 2_000 + LATELY_MS;
        assert!(!index.holders(long, later_ms + 1_000).are_many);
        index.note(&sent, 900, later_ms + 1_000);
        assert!(engines(&index, long, later_ms + 1_000).contains(&900));
    }

    #[test]
    fn no_room_is_no_memory_and_no_panic() {
        let words = table(1);
        for index in [PrefixIndex::new(&[]), PrefixIndex::new(&words[..7])] {
            index.note(&prompt(1), 1, 1);
            assert_eq!(engines(&index, prompt(1).hashes()[0], 1), [0; 0]);
        }
    }

    proptest! {
        #[test]
        fn the_last_one_noted_is_found_unless_many_are_and_holders_were_noted(
            notes in prop::collection::vec((0_u64..40, 0_usize..5_000, 0_u64..3_000), 1..200),
            sets in 1_usize..20,
        ) {
            let words = table(sets);
            let index = PrefixIndex::new(&words);
            let mut now_ms = 1;
            for (at, (number, engine, pause_ms)) in notes.iter().enumerate() {
                now_ms += pause_ms;
                let (sent, engine) = (prompt(*number), engine % 4_096);
                index.note(&sent, engine, now_ms);
                let last = *sent.hashes().last().unwrap();
                let held = engines(&index, last, now_ms);
                prop_assert!(held.contains(&engine) || index.holders(last, now_ms).are_many);
                let further = index.further_holders(last, mixed(at as u64), now_ms);
                for held in held.into_iter().chain(further.map(|one| one.engine)) {
                    let past = &notes[..=at];
                    let is_it = |note: &(u64, usize, u64)| {
                        (note.0, note.1 % 4_096) == (*number, held)
                    };
                    prop_assert!(past.iter().any(is_it));
                }
            }
        }
    }
}
