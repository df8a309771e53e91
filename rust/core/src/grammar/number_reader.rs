//! The texts of numbers as an automaton: digits read one by one against bounds and multiples.

use std::hash::{Hash, Hasher};

use super::alphabet::Alphabet;
use super::automaton::Automaton;
use super::decimal::Decimal;
use super::digits::{Compared, Divided, Limit};
use super::hash::{Fast, Numbers};
use super::numbers::Cell;
use super::refusal::{Refusal, Result};
use super::work::Work;

/// Digits before the point that a bound may have; 1e308 has 309.
const BOUND_DIGITS_MAX: i32 = 330;
/// Decimal digits that survive a reader which keeps numbers as doubles: a number with more could
/// be another one after parsing, on the other side of a bound or no multiple any more.
const EXACT_DIGITS: u16 = 15;
/// Remainders that are told apart for one multiple.
const MODULUS_MAX: u64 = 4_000;
/// Remainders that all states keep together, for bounds of memory: a few bytes each, twice.
const REMAINDERS_MAX: usize = 500_000;

/// Work that it is to read one more digit, and as much for each multiple.
const STEPS_OF_A_READING: usize = 8;

/// Where a reader of a number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Start,
    Minus,
    /// A whole part of `0`.
    Zero,
    Whole,
    Point,
    Fraction,
}

/// What is remembered of the digits read, beside what they leave modulo each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Reading {
    stage: Stage,
    negative: bool,
    nonzero: bool,
    /// Digits so far, up to one more than the reader takes.
    digits: u16,
    low: Compared,
    high: Compared,
}

/// The state in which nothing is read any more.
const DEAD: u32 = 1;

/// Readings by number, and one after the other what they leave modulo each step.
struct Readings {
    all: Vec<Reading>,
    divided: Vec<Divided>,
    numbers: Numbers,
}

impl Readings {
    /// The number of a reading, which may be new.
    fn number(&mut self, reading: Reading, divided: &[Divided]) -> u32 {
        let mut hasher = Fast::default();
        reading.hash(&mut hasher);
        for one in divided {
            one.hash(&mut hasher);
        }
        let fresh = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        let (all, known, steps) = (&self.all, &self.divided, divided.len());
        let number = self.numbers.of(hasher.finish(), fresh, |one| {
            let at = one as usize;
            all[at] == reading && known[at * steps..][..steps] == *divided
        });
        if number == fresh {
            self.all.push(reading);
            self.divided.extend_from_slice(divided);
        }
        number
    }

    fn divided_of(&self, reading: usize, steps: usize) -> &[Divided] {
        &self.divided[reading * steps..][..steps]
    }
}

struct Reader {
    /// Bounds of the magnitude for each sign: at least, at most; none where no number has it.
    sides: [Option<[Limit; 2]>; 2],
    steps: Vec<(u64, u32, bool)>,
    places_max: Option<u32>,
    /// Whether whole numbers may have one place, which is then a zero.
    may_end_with_zero: bool,
    /// Digits of a number with a fraction: as many as every reader keeps.
    digits_max: u16,
}

/// The texts of the numbers of a cell, which may be called integers.
///
/// # Errors
/// What has too many digits or remainders, or a bound: so many states, or too much work.
pub(super) fn texts_of(
    cell: &Cell,
    integers: bool,
    states_max: usize,
    work: &Work,
) -> Result<Automaton> {
    for (bound, _) in cell.low.iter().chain(&cell.high) {
        if bound.point().abs() > BOUND_DIGITS_MAX {
            return Err(Refusal::unsupported(
                "minimum",
                "a bound has more than 330 digits",
            ));
        }
    }
    let mut steps = Vec::new();
    let mut places_max = None;
    let wanted = cell.step.iter().map(|step| (step, true));
    for (step, multiple) in wanted.chain(cell.not_steps.iter().map(|step| (step, false))) {
        let (mantissa, scale) = step
            .scaled()
            .filter(|(mantissa, _)| (1..=MODULUS_MAX).contains(mantissa))
            .ok_or_else(|| {
                Refusal::unsupported("multipleOf", "it needs more than 4,000 remainders")
            })?;
        if multiple {
            places_max = Some(scale);
        }
        steps.push((mantissa, scale, multiple));
    }
    let may_end_with_zero = !integers && places_max == Some(0);
    if may_end_with_zero {
        places_max = Some(1);
    }
    let bounds = cell
        .low
        .iter()
        .chain(&cell.high)
        .map(|bound| bound.0.point());
    let longest = bounds
        .filter_map(|point| u16::try_from(point).ok())
        .max()
        .unwrap_or(0);
    let reader = Reader {
        sides: [side(cell, false), side(cell, true)],
        steps,
        places_max,
        may_end_with_zero,
        digits_max: EXACT_DIGITS.max(longest),
    };
    reader.automaton(states_max, work)
}

/// The bounds of the magnitude of the numbers with a sign.
fn side(cell: &Cell, negative: bool) -> Option<[Limit; 2]> {
    let (low, high) = if negative {
        (&cell.high, &cell.low)
    } else {
        (&cell.low, &cell.high)
    };
    let magnitude = |bound: &(Decimal, bool)| {
        if negative {
            (bound.0.negated(), bound.1)
        } else {
            bound.clone()
        }
    };
    let low = low
        .as_ref()
        .map(magnitude)
        .filter(|low| !low.0.is_negative());
    let high = high.as_ref().map(magnitude);
    if high.as_ref().is_some_and(|high| high.0.is_negative()) {
        return None;
    }
    Some([Limit::new(low.as_ref()), Limit::new(high.as_ref())])
}

impl Reader {
    fn automaton(&self, states_max: usize, work: &Work) -> Result<Automaton> {
        let fresh = Reading {
            stage: Stage::Start,
            negative: false,
            nonzero: false,
            digits: 0,
            low: Compared::default(),
            high: Compared::default(),
        };
        // Classes: below '-', '-', '.', '/', the ten digits, above.
        let mut starts = vec![0, 0x2d, 0x2e, 0x2f];
        starts.extend(0x30..=0x3a);
        let steps = self.steps.len();
        let mut readings = Readings {
            // The second is never looked at: its number is that of the dead state.
            all: vec![fresh; 2],
            divided: vec![Divided::default(); 2 * steps],
            numbers: Numbers::default(),
        };
        let mut divided = Vec::with_capacity(steps);
        let mut next = Vec::new();
        let mut at = 0;
        while at < readings.all.len() {
            if readings.all.len() > states_max {
                return Err(Refusal::too_large("states_max", states_max));
            }
            if readings.all.len() * steps > REMAINDERS_MAX {
                return Err(Refusal::too_large("remainders_max", REMAINDERS_MAX));
            }
            work.count(STEPS_OF_A_READING * starts.len() * (1 + steps));
            work.check()?;
            let from = (at != DEAD as usize).then(|| readings.all[at]);
            for class in 0..starts.len() {
                divided.clear();
                divided.extend_from_slice(readings.divided_of(at, steps));
                let to = from.and_then(|from| self.step(from, class, &mut divided));
                next.push(to.map_or(DEAD, |to| readings.number(to, &divided)));
            }
            at += 1;
        }
        let accepts = readings.all.iter().enumerate().map(|(at, reading)| {
            at != DEAD as usize && self.accepts(reading, readings.divided_of(at, steps))
        });
        let accepts = accepts.collect();
        let alphabet = Alphabet::of_starts(starts);
        Ok(Automaton::from_parts(alphabet, next, accepts).minimal())
    }

    /// The reading after one more character; none where no number begins so.
    fn step(&self, from: Reading, class: usize, divided: &mut [Divided]) -> Option<Reading> {
        let mut to = from;
        to.stage = match (from.stage, class) {
            (Stage::Start, 1) => {
                to.negative = true;
                Stage::Minus
            }
            (Stage::Start | Stage::Minus, 4) => Stage::Zero,
            (Stage::Start | Stage::Minus | Stage::Whole, 4..=13) => Stage::Whole,
            (Stage::Zero | Stage::Whole, 2) if self.places_max != Some(0) => Stage::Point,
            (Stage::Point, 4) => Stage::Fraction,
            (Stage::Point | Stage::Fraction, 4..=13) if !self.may_end_with_zero => Stage::Fraction,
            _ => return None,
        };
        let [low, high] = self.sides[usize::from(to.negative)].as_ref()?;
        if to.stage == Stage::Point {
            to.low = low.point(to.low);
            to.high = high.point(to.high);
        } else if let Some(digit) = class.checked_sub(4) {
            let digit = u8::try_from(digit).unwrap_or(0);
            let fraction = to.stage == Stage::Fraction;
            to.nonzero |= digit > 0;
            if self.places_max != Some(0) {
                to.digits = (to.digits + 1).min(self.digits_max + 1);
            }
            if fraction && to.digits > self.digits_max {
                return None;
            }
            to.low = low.digit(to.low, digit);
            to.high = high.digit(to.high, digit);
            for (divided, &(modulus, scale, _)) in divided.iter_mut().zip(&self.steps) {
                *divided = divided.digit(digit, fraction, modulus, scale);
                if fraction && self.places_max.is_some_and(|max| divided.is_past(max)) {
                    return None;
                }
            }
        }
        (!high.is_passed(to.high)).then_some(to)
    }

    fn accepts(&self, reading: &Reading, divided: &[Divided]) -> bool {
        let whole = matches!(reading.stage, Stage::Zero | Stage::Whole | Stage::Fraction);
        if !whole || (reading.negative && !reading.nonzero) {
            return false;
        }
        let Some([low, high]) = &self.sides[usize::from(reading.negative)] else {
            return false;
        };
        low.allows_least(reading.low)
            && high.allows_most(reading.high)
            && divided
                .iter()
                .zip(&self.steps)
                .all(|(divided, &(modulus, scale, wanted))| {
                    divided.is_multiple(modulus, scale) == wanted
                })
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Decimal, Work, texts_of};

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn intervals_are_exact() {
        let cell = Cell {
            low: Some((number("-1.5"), true)),
            high: Some((number("120"), false)),
            ..Cell::default()
        };
        let texts = texts_of(&cell, true, 1_000, &Work::of_states(1_000)).unwrap();
        for text in [
            "-1.5", "-1.50", "-0.1", "0", "0.0", "7", "99", "119.999", "12.0",
        ] {
            assert!(texts.contains(text), "{text}");
        }
        for text in [
            "-1.51", "-2", "120", "120.0", "1000", "-0", "01", "1.", "", "-", "1e1",
        ] {
            assert!(!texts.contains(text), "{text}");
        }
    }

    #[test]
    fn fractions_have_no_more_digits_than_a_double_keeps() {
        let cell = Cell {
            high: Some((number("3"), false)),
            ..Cell::default()
        };
        let texts = texts_of(&cell, true, 1_000, &Work::of_states(1_000)).unwrap();
        assert!(texts.contains("2.99999999999999") && !texts.contains("2.999999999999999"));
        assert!(texts.contains("-123456789012345678901234567890"));
    }

    #[test]
    fn multiples_are_exact() {
        let of = |step: &str| Cell {
            step: Some(number(step)),
            ..Cell::default()
        };
        let texts = texts_of(&of("0.25"), true, 4_000, &Work::of_states(4_000)).unwrap();
        for (text, fits) in [
            ("1.25", true),
            ("1.5", true),
            ("1.3", false),
            ("1.250", false),
        ] {
            assert_eq!(texts.contains(text), fits, "{text}");
        }
        let texts = texts_of(&of("7"), true, 4_000, &Work::of_states(4_000)).unwrap();
        for (text, fits) in [("14", true), ("-700", true), ("13", false), ("0", true)] {
            assert_eq!(texts.contains(text), fits, "{text}");
        }
        let texts = texts_of(&of("7"), false, 4_000, &Work::of_states(4_000)).unwrap();
        for (text, fits) in [
            ("14", true),
            ("-700.0", true),
            ("0.0", true),
            ("14.00", false),
            ("14.", false),
            ("13.0", false),
            ("14.5", false),
        ] {
            assert_eq!(texts.contains(text), fits, "{text}");
        }
        let odd = Cell {
            not_steps: vec![number("1")],
            ..Cell::default()
        };
        let texts = texts_of(&odd, true, 4_000, &Work::of_states(4_000)).unwrap();
        assert!(texts.contains("1.5") && !texts.contains("1.0") && !texts.contains("3"));
    }

    #[test]
    fn remainders_of_numbers_beyond_a_bound_are_not_told_apart() {
        let few = Cell {
            low: Some((number("100"), false)),
            high: Some((number("1000"), false)),
            step: Some(number("13")),
            not_steps: ["2", "3", "5", "7", "11"].map(number).to_vec(),
        };
        let texts = texts_of(&few, true, 2_000, &Work::of_states(2_000)).unwrap();
        for (text, fits) in [("221", true), ("949", true), ("13", false), ("182", false)] {
            assert_eq!(texts.contains(text), fits, "{text}");
        }
        assert!(!texts.contains("1027") && !texts.contains("-221"));
    }

    #[test]
    fn remainders_are_bounded_over_all_states() {
        let not_multiples = |count: u64| Cell {
            step: Some(Decimal::from_integer(1)),
            not_steps: (2..2 + count).map(Decimal::from_integer).collect(),
            ..Cell::default()
        };
        let texts = texts_of(&not_multiples(2), true, 6_000, &Work::of_states(6_000)).unwrap();
        assert!(texts.contains("25") && !texts.contains("27"));
        let refusal =
            texts_of(&not_multiples(2_000), true, 6_000, &Work::of_states(6_000)).unwrap_err();
        assert!(refusal.reason.contains("remainders_max"), "{refusal}");
        assert_eq!(
            refusal.hint, "simplify the schema",
            "it is no option of the compiler"
        );
    }
}
