//! Texts told apart by a number that a few states compute from their characters.
//!
//! Equal texts have equal numbers, so texts of different classes differ. All classes of one set
//! share their states: a class is only another start.

use super::alphabet::Alphabet;
use super::automaton::Automaton;
use super::charset::code_of;
use super::hash::Map;

/// Classes; a prime, so that a sum modulo it is turned around by every factor.
pub(super) const CLASSES: u8 = 7;

/// Characters, the frequent ones spread over all classes.
const CHARACTERS: &str = "aetionshrdlcumwfgypbvkjxqzAETIONSHRDLCUMWFGYPBVKJXQZ0123456789_";
/// The first character that is not of ASCII.
const FIRST_BEYOND: u32 = 128;
/// The state of a text whose class is known, and of one that is not of the class.
const KNOWN: u8 = 254;
const OTHER: u8 = 255;

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Feature {
    /// The sum of all characters.
    Sum,
    /// The sum of all characters by their places.
    Weighed,
    /// The first character: few states, where the set itself has many.
    First,
    /// The second character.
    Second,
}

impl Feature {
    fn start(self, class: u8) -> u8 {
        match self {
            Self::Second => CLASSES + class,
            _ => class,
        }
    }

    fn step(self, state: u8, code: u32) -> u8 {
        self.moved(state, self.weight(code))
    }

    /// The state after a character of a weight.
    fn moved(self, state: u8, weight: u8) -> u8 {
        match self {
            _ if state >= KNOWN => state,
            Self::Sum => (state + weight) % CLASSES,
            Self::Weighed => (state * 3 + weight) % CLASSES,
            Self::Second if state >= CLASSES => state - CLASSES,
            Self::First | Self::Second if state == weight => KNOWN,
            Self::First | Self::Second => OTHER,
        }
    }

    /// What a character counts.
    fn weight(self, code: u32) -> u8 {
        // Beyond ASCII all characters are alike.
        let code = code.min(FIRST_BEYOND);
        let rest = |by: u32| u8::try_from(by % u32::from(CLASSES)).unwrap_or(0);
        match self {
            Self::Sum => rest(code),
            Self::Weighed => rest(code * 5 + code / 7),
            Self::First | Self::Second => of_character(code),
        }
    }

    fn accepts(self, state: u8) -> bool {
        match self {
            Self::Sum | Self::Weighed => state == 0,
            // Texts that are too short are of the first class.
            Self::First => state == KNOWN || state == 0,
            Self::Second => state == KNOWN || state == 0 || state == CLASSES,
        }
    }

    /// The class of a text.
    pub(super) fn of(self, text: &str) -> u8 {
        let weight_at = |place| {
            text.chars()
                .nth(place)
                .map_or(0, |one| self.weight(code_of(one)))
        };
        match self {
            Self::First => weight_at(0),
            Self::Second => weight_at(1),
            Self::Sum | Self::Weighed => {
                // Where class 0 ends, and how far from there one that starts a step further does.
                let (mut end, mut apart) = (0, 1);
                for one in text.chars() {
                    end = self.moved(end, self.weight(code_of(one)));
                    apart = self.moved(apart, 0);
                }
                let is_in = |&class: &u8| (end + class * apart) % CLASSES == 0;
                (0..CLASSES).find(is_in).unwrap_or(0)
            }
        }
    }

    /// The texts of a set with a start for each class: state `n` is the start of class `n`.
    pub(super) fn classed(self, set: &Automaton) -> Automaton {
        let mut starts: Vec<u32> = (0..=FIRST_BEYOND).chain(set.starts()).collect();
        starts.sort_unstable();
        starts.dedup();
        // Characters that neither tells apart are looked at once.
        let mut known: Map<(usize, u8), u32> = Map::default();
        let mut firsts = Vec::new();
        let mut kinds = Vec::with_capacity(starts.len());
        for &code in &starts {
            let fresh = u32::try_from(firsts.len()).unwrap_or(u32::MAX);
            let kind = (set.class_of(code), self.weight(code));
            kinds.push(*known.entry(kind).or_insert_with(|| {
                firsts.push(code);
                fresh
            }));
        }
        let alphabet = Alphabet::of_starts(starts).renamed(&kinds);
        let mut pairs: Vec<(u32, u8)> = (0..CLASSES).map(|class| (0, self.start(class))).collect();
        let mut ids: Map<(u32, u8), u32> = pairs.iter().copied().zip(0..).collect();
        let mut next = Vec::new();
        let mut at = 0;
        while at < pairs.len() {
            let (inner, state) = pairs[at];
            at += 1;
            for &code in &firsts {
                let after = self.step(state, code);
                let pair = match after {
                    OTHER => (0, OTHER),
                    _ => (set.step(inner, code), after),
                };
                let fresh = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
                let id = *ids.entry(pair).or_insert_with(|| {
                    pairs.push(pair);
                    fresh
                });
                next.push(id);
            }
        }
        let accepts = pairs
            .iter()
            .map(|&(inner, state)| set.accepts_at(inner) && self.accepts(state));
        Automaton::from_parts(alphabet, next, accepts.collect())
    }
}

/// The class of a character; those beyond the frequent ones are of the last.
const fn of_character(code: u32) -> u8 {
    if code < FIRST_BEYOND {
        CHARACTER_CLASSES[code as usize]
    } else {
        CLASSES - 1
    }
}

/// The class of each character of ASCII.
const CHARACTER_CLASSES: [u8; FIRST_BEYOND as usize] = {
    let mut classes = [CLASSES - 1; FIRST_BEYOND as usize];
    let characters = CHARACTERS.as_bytes();
    let (mut place, mut class) = (0, 0);
    while place < characters.len() {
        classes[characters[place] as usize] = class;
        class = (class + 1) % CLASSES;
        place += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use super::{Automaton, CLASSES, Feature};

    const ALL: [Feature; 4] = [
        Feature::Sum,
        Feature::Weighed,
        Feature::First,
        Feature::Second,
    ];

    #[test]
    fn each_text_is_in_one_class_of_its_set() {
        let long = Automaton::of_length(2, None);
        for feature in ALL {
            let machine = feature.classed(&long);
            for text in [
                "",
                "a",
                "ab",
                "ba",
                "é\n\"",
                "Grüße",
                "a longer text",
                "1.5x",
            ] {
                let is_in = |class: &u8| {
                    let states = text.chars().map(super::code_of);
                    let end = states.fold(u32::from(*class), |at, code| machine.step(at, code));
                    machine.accepts_at(end)
                };
                let classes: Vec<u8> = (0..CLASSES).filter(is_in).collect();
                let expected = long.contains(text).then(|| feature.of(text));
                assert_eq!(classes, Vec::from_iter(expected), "{feature:?} {text}");
            }
        }
    }

    #[test]
    fn what_begins_and_ends_alike_is_told_apart() {
        for (one, other) in [
            ("1x", "1.5x"),
            ("AppProvider", "EventProvider"),
            ("ab", "ba"),
        ] {
            let differs = |feature: &Feature| feature.of(one) != feature.of(other);
            assert!(ALL[..2].iter().any(differs), "{one} {other}");
        }
    }
}
