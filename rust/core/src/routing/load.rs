//! How busy an engine is, in one number.

/// What a request weighs in [`Load::weight`].
pub const REQUEST: u64 = 16;
/// Bytes of a prompt that weigh 1: a token of each running answer costs a step of the engine a
/// little, about what 256 bytes of a prompt do.
pub const BYTES_PER_WEIGHT: u64 = 16;
/// Share of the KV cache from which on an engine counts as busier than its requests say: it will
/// soon have to throw answers out and begin them again.
const CACHE_FULL_PERMILLE: u64 = 800;

/// Bytes given of late that weigh as much as one that waits, for a request that could as well go
/// elsewhere, and for one of which this engine alone holds the beginning. By the simulator.
const RECENT_PER_BYTE: u64 = 10;
const RECENT_PER_OWN_BYTE: u64 = 30;

/// What is known of an engine's load now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests of this house that it works on.
    pub in_flight: u64,
    /// Requests that it has from others, by its own count.
    pub elsewhere: u64,
    /// Requests that it has not begun, by its own count: they weigh twice.
    pub waiting: u64,
    /// How much of its KV cache is taken, in thousandths.
    pub cache_permille: u64,
    /// Bytes of the prompts of this house that it has to compute before it begins to answer them.
    pub unread_bytes: u64,
    /// Bytes of prompts that it was given to compute of late: [`Recent`].
    pub recent_bytes: u64,
}

impl Load {
    /// The load in sixteenths of a request; up to twice that as the KV cache fills up.
    pub fn weight(self) -> u64 {
        let requests = self.in_flight + self.elsewhere + self.waiting;
        let weight = requests.saturating_mul(REQUEST);
        let over = self.cache_permille.clamp(CACHE_FULL_PERMILLE, 1_000) - CACHE_FULL_PERMILLE;
        let span = 1_000 - CACHE_FULL_PERMILLE;
        weight + weight / span * over + weight % span * over / span
    }

    /// How long one more request would wait there: the weight, what is still to be computed, and a
    /// little for what was of late, so that new prompts spread and push out fewer old ones.
    pub fn wait(self) -> u64 {
        self.wait_by(RECENT_PER_BYTE)
    }

    /// The same for a request of which hardly anybody else holds the beginning. What was of late
    /// counts less: whoever moves on for it leaves behind what all its further turns would find.
    pub fn wait_at_home(self) -> u64 {
        self.wait_by(RECENT_PER_OWN_BYTE)
    }

    fn wait_by(self, recent_per_byte: u64) -> u64 {
        let bytes = self.unread_bytes + self.recent_bytes / recent_per_byte;
        self.weight().saturating_add(bytes / BYTES_PER_WEIGHT)
    }
}

/// How long what an engine said of itself is believed.
const SEEN_MS: u64 = 5_000;
const TICK_MS: u64 = 256;
const TICKS: u64 = 1 << 22;

/// What an engine's metrics said, as control saw them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// See [`Load`].
    pub elsewhere: u64,
    /// See [`Load`].
    pub waiting: u64,
    /// See [`Load`].
    pub cache_permille: u64,
    tick: u64,
}

impl Seen {
    /// Seen now.
    pub fn new(elsewhere: u64, waiting: u64, cache_permille: u64, now_ms: u64) -> Self {
        Self {
            elsewhere: elsewhere.min(0xffff),
            waiting: waiting.min(0xffff),
            cache_permille: cache_permille.min(1_000),
            tick: now_ms / TICK_MS % TICKS,
        }
    }

    /// As it lies in a word; nothing, if it is old.
    pub fn from_word(word: u64, now_ms: u64) -> Self {
        let tick = word >> 42;
        let age_ms = (now_ms / TICK_MS).wrapping_sub(tick) % TICKS * TICK_MS;
        if word == 0 || age_ms > SEEN_MS {
            return Self::default();
        }
        Self {
            elsewhere: word & 0xffff,
            waiting: word >> 16 & 0xffff,
            cache_permille: word >> 32 & 0x3ff,
            tick,
        }
    }

    /// The word.
    pub fn word(self) -> u64 {
        self.elsewhere | self.waiting << 16 | self.cache_permille << 32 | self.tick << 42
    }

    /// The load of an engine that this was seen of.
    pub fn load(self, in_flight: u64) -> Load {
        Load {
            in_flight,
            elsewhere: self.elsewhere,
            waiting: self.waiting,
            cache_permille: self.cache_permille,
            ..Load::default()
        }
    }
}

/// How long what other houses said is believed.
const OTHERS_MS: u64 = 2_000;

/// Requests that other houses have with an engine, as control last added them up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Others {
    /// How many.
    pub requests: u64,
    tick: u64,
}

impl Others {
    /// Said now.
    pub fn new(requests: u64, now_ms: u64) -> Self {
        Self {
            requests: requests.min(u64::from(u32::MAX)),
            tick: now_ms / TICK_MS % TICKS,
        }
    }

    /// As it lies in a word; nothing, if it is old.
    pub fn from_word(word: u64, now_ms: u64) -> Self {
        let tick = word >> 42;
        let age_ms = (now_ms / TICK_MS).wrapping_sub(tick) % TICKS * TICK_MS;
        if word == 0 || age_ms > OTHERS_MS {
            return Self::default();
        }
        let requests = word & u64::from(u32::MAX);
        Self { requests, tick }
    }

    /// The word.
    pub fn word(self) -> u64 {
        self.requests | self.tick << 42
    }
}

/// After this time half of what an engine was given is forgotten.
const HALF_MS: u64 = 8_192;

/// How many bytes of prompts an engine was given to compute of late: what it was given last counts
/// whole, what was given eight seconds ago counts half.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recent {
    bytes: u64,
    tick: u64,
}

const RECENT_TICK_MS: u64 = 64;
const RECENT_TICKS: u64 = 1 << 32;

impl Recent {
    /// As it lies in a word.
    pub fn from_word(word: u64) -> Self {
        Self {
            bytes: word & 0xffff_ffff,
            tick: word >> 32,
        }
    }

    /// The word.
    pub fn word(self) -> u64 {
        self.bytes.min(0xffff_ffff) | self.tick << 32
    }

    /// After so many more.
    #[must_use]
    pub fn after(self, bytes: u64, now_ms: u64) -> Self {
        Self {
            bytes: self.bytes(now_ms).saturating_add(bytes).min(0xffff_ffff),
            tick: now_ms / RECENT_TICK_MS % RECENT_TICKS,
        }
    }

    /// How many they are now. Between two halvings it goes down in a straight line.
    pub fn bytes(self, now_ms: u64) -> u64 {
        let ticks = (now_ms / RECENT_TICK_MS).wrapping_sub(self.tick) % RECENT_TICKS;
        let age_ms = if ticks > RECENT_TICKS / 2 {
            0 // another process read its clock a moment later
        } else {
            ticks * RECENT_TICK_MS
        };
        let halved = self.bytes >> (age_ms / HALF_MS).min(32);
        halved - halved * (age_ms % HALF_MS) / (2 * HALF_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_believed_for_a_while() {
        let now_ms = 1_000_000_000_000;
        let seen = Seen::new(70_000, 3, 990, now_ms);
        let read = |at_ms| Seen::from_word(seen.word(), at_ms);
        assert_eq!(read(now_ms + 4_000), seen);
        assert_eq!(seen.load(2).in_flight, 2);
        assert_eq!(
            (seen.elsewhere, seen.waiting, seen.cache_permille),
            (0xffff, 3, 990)
        );
        assert_eq!(read(now_ms + 6_000), Seen::default());
        assert_eq!(Seen::from_word(0, 1), Seen::default());
    }

    #[test]
    fn what_others_said_is_believed_for_a_shorter_while() {
        let now_ms = 1_000_000_000_000;
        let others = Others::new(7, now_ms);
        assert_eq!(Others::from_word(others.word(), now_ms + 1_500).requests, 7);
        assert_eq!(
            Others::from_word(others.word(), now_ms + 2_600),
            Others::default()
        );
        assert_eq!(Others::from_word(0, 1), Others::default());
        let many = Others::new(u64::MAX, now_ms);
        assert_eq!(Others::from_word(many.word(), now_ms), many);
    }

    #[test]
    fn a_full_cache_doubles_the_weight_and_a_half_full_one_does_nothing() {
        let load = |cache_permille| Load {
            in_flight: 10,
            cache_permille,
            ..Load::default()
        };
        let weights = [0, 500, 800, 900, 1_000, 9_000].map(|share| load(share).weight());
        assert_eq!(weights, [160, 160, 160, 240, 320, 320]);
    }

    #[test]
    fn what_waits_weighs_twice_and_what_others_sent_counts() {
        let load = Load {
            in_flight: 3,
            elsewhere: 2,
            waiting: 1,
            ..Load::default()
        };
        assert_eq!(load.weight(), 6 * REQUEST);
        assert_eq!(load.wait(), load.weight());
    }

    #[test]
    fn prompts_that_are_not_computed_yet_are_waited_for() {
        let load = Load {
            in_flight: 2,
            unread_bytes: 8_000,
            recent_bytes: 32_000,
            ..Load::default()
        };
        assert_eq!(load.weight(), 2 * REQUEST);
        assert_eq!(load.wait(), 2 * REQUEST + 11_200 / BYTES_PER_WEIGHT);
        let at_home = 2 * REQUEST + 9_066 / BYTES_PER_WEIGHT;
        assert_eq!(load.wait_at_home(), at_home);
    }

    #[test]
    fn what_was_given_is_half_forgotten_every_eight_seconds() {
        let given = Recent::default().after(10_000, 64_000);
        let later = |ms| given.bytes(64_000 + ms);
        assert_eq!(
            [0, HALF_MS / 2, HALF_MS, 2 * HALF_MS].map(later),
            [10_000, 7_500, 5_000, 2_500]
        );
        assert_eq!(later(1_000 * HALF_MS), 0);
        assert_eq!(given.bytes(63_000), 10_000, "by a clock that is behind");
        let more = given.after(1_000, 64_000 + HALF_MS);
        assert_eq!(more.bytes(64_000 + HALF_MS), 6_000);
        assert_eq!(Recent::from_word(more.word()), more);
        assert_eq!(more.after(u64::MAX, 80_000).bytes(80_000), 0xffff_ffff);
    }
}
