//! Sets of numbers: unions of cells, each an interval cut with multiples.
//!
//! Exact: bounds and steps are decimals, never floats.

use super::decimal::Decimal;
use super::hash::Set;

/// One end of an interval; inclusive where the flag says so.
pub type Bound = Option<(Decimal, bool)>;

/// Numbers between two ends that are multiples of `step` and of none of `not_steps`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Cell {
    /// The lower end.
    pub low: Bound,
    /// The upper end.
    pub high: Bound,
    /// Every number is a multiple of it; 1 means whole numbers.
    pub step: Option<Decimal>,
    /// No number is a multiple of any of them.
    pub not_steps: Vec<Decimal>,
}

/// Cells up to which a new one is searched for among them.
const SEARCHED_MAX: usize = 32;

/// A union of cells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Numbers(pub Vec<Cell>);

/// A multiple that is too fine or too large to combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepTooLarge;

impl Cell {
    /// Exactly one number.
    pub fn point(value: &Decimal) -> Self {
        let end = Some((value.clone(), true));
        Self {
            low: end.clone(),
            high: end,
            ..Self::default()
        }
    }

    /// The only number of the interval, if it has one.
    pub fn single(&self) -> Option<&Decimal> {
        match (&self.low, &self.high) {
            (Some((low, true)), Some((high, true))) if low == high => Some(low),
            _ => None,
        }
    }

    /// Whether a number is in it.
    pub fn contains(&self, value: &Decimal) -> bool {
        let above = self
            .low
            .as_ref()
            .is_none_or(|(low, inclusive)| value > low || (*inclusive && value == low));
        let below = self
            .high
            .as_ref()
            .is_none_or(|(high, inclusive)| value < high || (*inclusive && value == high));
        above
            && below
            && self
                .step
                .as_ref()
                .is_none_or(|step| is_multiple(value, step))
            && !self.not_steps.iter().any(|step| is_multiple(value, step))
    }

    /// Whether it is seen at once that nothing is in it.
    pub fn is_empty(&self) -> bool {
        if let Some(value) = self.single() {
            return !self.contains(value);
        }
        match (&self.low, &self.high) {
            (Some((low, _)), Some((high, _))) => low >= high,
            _ => false,
        }
    }

    fn intersection(&self, other: &Self) -> Result<Self, StepTooLarge> {
        let low = tighter(&self.low, &other.low, |a, b| a > b);
        let high = tighter(&self.high, &other.high, |a, b| a < b);
        let step = match (&self.step, &other.step) {
            (Some(a), Some(b)) => Some(common_multiple(a, b)?),
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        let mut not_steps = self.not_steps.clone();
        for step in &other.not_steps {
            if !not_steps.contains(step) {
                not_steps.push(step.clone());
            }
        }
        Ok(Self {
            low,
            high,
            step,
            not_steps,
        })
    }

    fn complement(&self) -> Vec<Self> {
        let flip = |(value, inclusive): &(Decimal, bool)| Some((value.clone(), !inclusive));
        let mut outside = Vec::new();
        if let Some(low) = &self.low {
            outside.push(Self {
                high: flip(low),
                ..Self::default()
            });
        }
        if let Some(high) = &self.high {
            outside.push(Self {
                low: flip(high),
                ..Self::default()
            });
        }
        if let Some(step) = &self.step {
            outside.push(Self {
                not_steps: vec![step.clone()],
                ..Self::default()
            });
        }
        for step in &self.not_steps {
            outside.push(Self {
                step: Some(step.clone()),
                ..Self::default()
            });
        }
        outside
    }
}

impl Numbers {
    /// Every number.
    pub fn all() -> Self {
        Self(vec![Cell::default()])
    }

    /// Whether every number is in it, seen at once.
    pub fn is_all(&self) -> bool {
        self.0.contains(&Cell::default())
    }

    /// Whether it is seen at once that nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Cell::is_empty)
    }

    /// Whether a number is in it.
    pub fn contains(&self, value: &Decimal) -> bool {
        self.0.iter().any(|cell| cell.contains(value))
    }

    /// What is in either.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        if self.is_all() || other.is_all() {
            return Self::all();
        }
        for cell in &other.0 {
            if !self.0.contains(cell) {
                self.0.push(cell.clone());
            }
        }
        self
    }

    /// What is in both.
    ///
    /// # Errors
    /// [`StepTooLarge`] where two multiples have no common one of 18 digits.
    pub fn intersection(&self, other: &Self) -> Result<Self, StepTooLarge> {
        let mut cells = Vec::new();
        let is_few = self.0.len() * other.0.len() <= SEARCHED_MAX;
        let mut known = Set::default();
        for left in &self.0 {
            for right in &other.0 {
                let both = left.intersection(right)?;
                let is_known =
                    |both: &Cell| is_few && cells.contains(both) || !is_few && known.contains(both);
                if !both.is_empty() && !is_known(&both) {
                    if !is_few {
                        known.insert(both.clone());
                    }
                    cells.push(both);
                }
            }
        }
        Ok(Self(cells))
    }

    /// Sets whose common numbers are those that are not in it.
    pub fn opposites(&self) -> Vec<Self> {
        if self.0.iter().all(|cell| cell.single().is_some()) {
            return vec![self.without_points()];
        }
        self.0.iter().map(|cell| Self(cell.complement())).collect()
    }

    /// Pairs of cells, and of multiples that are ruled out with a cell, that an intersection makes.
    pub fn pairs(&self, other: &Self) -> usize {
        let size = |all: &Self| {
            all.0
                .iter()
                .map(|cell| 1 + cell.not_steps.len())
                .sum::<usize>()
        };
        self.0.len() * size(other) + other.0.len() * size(self)
    }

    /// The gaps between points.
    fn without_points(&self) -> Self {
        let mut points: Vec<&Decimal> = self.0.iter().filter_map(Cell::single).collect();
        points.sort_unstable();
        points.dedup();
        let mut low: Bound = None;
        let mut cells = Vec::with_capacity(points.len() + 1);
        for point in points {
            let high = Some((point.clone(), false));
            cells.push(Cell {
                low: low.clone(),
                high: high.clone(),
                ..Cell::default()
            });
            low = high;
        }
        cells.push(Cell {
            low,
            ..Cell::default()
        });
        Self(cells)
    }
}

fn tighter(a: &Bound, b: &Bound, beats: impl Fn(&Decimal, &Decimal) -> bool) -> Bound {
    match (a, b) {
        (Some(a), Some(b)) if a.0 == b.0 => Some((a.0.clone(), a.1 && b.1)),
        (Some(a), Some(b)) => Some(if beats(&a.0, &b.0) {
            a.clone()
        } else {
            b.clone()
        }),
        (a, b) => a.clone().or_else(|| b.clone()),
    }
}

/// Whether a number is a whole multiple of a step.
pub fn is_multiple(value: &Decimal, step: &Decimal) -> bool {
    if value.is_zero() {
        return true;
    }
    match step.scaled() {
        Some((mantissa, scale)) if mantissa > 0 => value.remainder(mantissa, scale) == Some(0),
        _ => value == step,
    }
}

fn common_multiple(a: &Decimal, b: &Decimal) -> Result<Decimal, StepTooLarge> {
    let ((left, left_scale), (right, right_scale)) =
        a.scaled().zip(b.scaled()).ok_or(StepTooLarge)?;
    let scale = left_scale.max(right_scale);
    let widened = |mantissa: u64, from: u32| {
        u128::from(mantissa).checked_mul(10_u128.checked_pow(scale - from)?)
    };
    let (left, right) = widened(left, left_scale)
        .zip(widened(right, right_scale))
        .ok_or(StepTooLarge)?;
    let least = (left / gcd(left, right))
        .checked_mul(right)
        .ok_or(StepTooLarge)?;
    let least = u64::try_from(least).map_err(|_| StepTooLarge)?;
    Decimal::parse(&format!("{least}e-{scale}")).ok_or(StepTooLarge)
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::{Cell, Decimal, Numbers};

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn complement_splits_values() {
        let step = Some(number("0.5"));
        let low = Some((number("1"), true));
        let set = Numbers(vec![Cell {
            low,
            step,
            ..Cell::default()
        }]);
        let rest = &set.opposites()[0];
        for value in ["-1", "0", "0.5", "1", "1.25", "1.5", "7", "7.1"] {
            let value = number(value);
            assert!(set.contains(&value) != rest.contains(&value), "{value:?}");
        }
    }

    #[test]
    fn steps_combine_to_their_least_common_multiple() {
        let of = |step| {
            Numbers(vec![Cell {
                step: Some(number(step)),
                ..Cell::default()
            }])
        };
        let both = of("0.6").intersection(&of("0.4")).unwrap();
        assert_eq!(both.0[0].step, Some(number("1.2")));
    }
}
