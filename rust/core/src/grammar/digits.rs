//! What is remembered while the digits of a number are read: how it compares with a bound, and
//! what it leaves modulo a step. Small enough to be the state of an automaton.

use std::cmp::Ordering;

use super::decimal::Decimal;

/// A bound of a magnitude, digit by digit; without digits it bounds nothing.
#[derive(Clone, Debug)]
pub struct Limit {
    digits: Option<(Vec<u8>, Vec<u8>)>,
    inclusive: bool,
}

/// How the digits read so far compare with those of a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compared {
    /// So many whole digits, and how they compare with as many of the bound's.
    Whole(u16, Ordering),
    /// The whole parts are equal, and so many digits of the fractions.
    Fraction(u16),
    /// Whatever follows, the answer stays.
    Settled(Ordering),
}

impl Default for Compared {
    fn default() -> Self {
        Self::Whole(0, Ordering::Equal)
    }
}

impl Limit {
    /// From a bound and whether it is part of the set; none bounds nothing.
    pub fn new(bound: Option<&(Decimal, bool)>) -> Self {
        Self {
            digits: bound.map(|bound| bound.0.magnitude()),
            inclusive: bound.is_some_and(|bound| bound.1),
        }
    }

    /// After one more digit.
    pub fn digit(&self, so_far: Compared, digit: u8) -> Compared {
        let Some((whole, fraction)) = &self.digits else {
            return so_far;
        };
        match so_far {
            Compared::Whole(count, order) => {
                let place = usize::from(count);
                if place >= whole.len() {
                    let past = u16::try_from(whole.len() + 1).unwrap_or(u16::MAX);
                    return Compared::Whole(past, Ordering::Greater);
                }
                Compared::Whole(count + 1, order.then(digit.cmp(&whole[place])))
            }
            Compared::Fraction(count) => match fraction.get(usize::from(count)) {
                Some(wanted) if digit == *wanted => Compared::Fraction(count + 1),
                Some(wanted) => Compared::Settled(digit.cmp(wanted)),
                None if digit == 0 => so_far,
                None => Compared::Settled(Ordering::Greater),
            },
            Compared::Settled(_) => so_far,
        }
    }

    /// After the decimal point.
    pub fn point(&self, so_far: Compared) -> Compared {
        if self.digits.is_none() {
            return so_far;
        }
        match self.whole_order(so_far) {
            Ordering::Equal => Compared::Fraction(0),
            order => Compared::Settled(order),
        }
    }

    fn whole_order(&self, so_far: Compared) -> Ordering {
        match (so_far, &self.digits) {
            (Compared::Whole(count, order), Some((whole, _))) => {
                usize::from(count).cmp(&whole.len()).then(order)
            }
            (Compared::Settled(order), _) => order,
            _ => Ordering::Equal,
        }
    }

    /// Whether every number that goes on from here is above the bound.
    pub fn is_passed(&self, so_far: Compared) -> bool {
        match (so_far, &self.digits) {
            (Compared::Whole(count, _), Some((whole, _))) => {
                usize::from(count) >= whole.len() && self.whole_order(so_far) == Ordering::Greater
            }
            (Compared::Settled(order), _) => order == Ordering::Greater,
            _ => false,
        }
    }

    /// How a number that ends here compares with the bound.
    fn order(&self, so_far: Compared) -> Ordering {
        let Some((_, fraction)) = &self.digits else {
            return Ordering::Equal;
        };
        let rest = |read: usize| {
            if fraction[read..].iter().any(|&digit| digit > 0) {
                Ordering::Less
            } else {
                Ordering::Equal
            }
        };
        match so_far {
            Compared::Whole(..) => self.whole_order(so_far).then_with(|| rest(0)),
            Compared::Fraction(count) => rest(usize::from(count).min(fraction.len())),
            Compared::Settled(order) => order,
        }
    }

    /// Whether a number that ends here is at least the bound.
    pub fn allows_least(&self, so_far: Compared) -> bool {
        self.digits.is_none()
            || match self.order(so_far) {
                Ordering::Less => false,
                Ordering::Equal => self.inclusive,
                Ordering::Greater => true,
            }
    }

    /// Whether a number that ends here is at most the bound.
    pub fn allows_most(&self, so_far: Compared) -> bool {
        self.digits.is_none()
            || match self.order(so_far) {
                Ordering::Less => true,
                Ordering::Equal => self.inclusive,
                Ordering::Greater => false,
            }
    }
}

/// What the digits leave modulo a step, in units of its last place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Divided {
    remainder: u64,
    places: u32,
    /// A digit above zero came after the step's last place.
    finer: bool,
}

impl Divided {
    /// After one more digit.
    #[must_use]
    pub fn digit(self, digit: u8, fraction: bool, modulus: u64, scale: u32) -> Self {
        if fraction && self.places >= scale {
            return Self {
                places: scale + 1,
                finer: self.finer || digit > 0,
                ..self
            };
        }
        let remainder = (self.remainder * 10 + u64::from(digit)) % modulus;
        Self {
            remainder,
            places: self.places + u32::from(fraction),
            ..self
        }
    }

    /// Whether there were more places than the step has.
    pub const fn is_past(self, scale: u32) -> bool {
        self.places > scale
    }

    /// Whether a number that ends here is a multiple.
    pub fn is_multiple(self, modulus: u64, scale: u32) -> bool {
        let missing = scale.saturating_sub(self.places);
        let rest = (0..missing).fold(self.remainder, |rest, _| rest * 10 % modulus);
        !self.finer && rest == 0
    }
}
