//! Sets of characters as sorted ranges.
//!
//! Characters are counted without the surrogates (which no UTF-8 text can hold), so that the
//! complement of a set never contains one: see [`code_of`] and [`char_of`].

/// The last code; `char::MAX` without the 2,048 surrogates.
pub const LAST: u32 = 0x10_ffff - 0x800;

/// Ranges that most sets have at most.
const RANGES: usize = 3;

/// The code of a character.
pub fn code_of(character: char) -> u32 {
    let scalar = u32::from(character);
    if scalar >= 0xe000 {
        scalar - 0x800
    } else {
        scalar
    }
}

/// The character of a code; codes come from [`code_of`] or are at most [`LAST`].
pub fn char_of(code: u32) -> char {
    let scalar = if code >= 0xd800 { code + 0x800 } else { code };
    char::from_u32(scalar).unwrap_or(char::MAX)
}

/// A set of characters: inclusive ranges of codes, sorted, apart from each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct CharSet(Vec<(u32, u32)>);

impl CharSet {
    /// Every character.
    pub fn all() -> Self {
        Self(vec![(0, LAST)])
    }

    /// One range, with room for as many more as most sets have.
    pub fn beginning(range: (u32, u32)) -> Self {
        let mut ranges = Vec::with_capacity(RANGES);
        ranges.push(range);
        Self(ranges)
    }

    /// One character.
    pub fn one(character: char) -> Self {
        let code = code_of(character);
        Self(vec![(code, code)])
    }

    /// From scalar values; surrogates fall away.
    pub fn from_scalars(ranges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut codes = Vec::new();
        for (low, high) in ranges {
            if low <= high.min(0xd7ff) {
                codes.push((low, high.min(0xd7ff)));
            }
            if high >= 0xe000 {
                codes.push((low.max(0xe000) - 0x800, high.min(0x10_ffff) - 0x800));
            }
        }
        Self::from_codes(codes)
    }

    /// From code ranges in any order.
    pub fn from_codes(mut ranges: Vec<(u32, u32)>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|next, last| {
            let is_joined = next.0 <= last.1.saturating_add(1);
            if is_joined {
                last.1 = last.1.max(next.1);
            }
            is_joined
        });
        Self(ranges)
    }

    /// From a string of characters.
    pub fn of(characters: &str) -> Self {
        Self::from_codes(
            characters
                .chars()
                .map(|c| (code_of(c), code_of(c)))
                .collect(),
        )
    }

    /// The ranges.
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every character is in it.
    pub fn is_all(&self) -> bool {
        self.0 == [(0, LAST)]
    }

    /// Whether a code is in it.
    pub fn contains(&self, code: u32) -> bool {
        self.0
            .iter()
            .any(|&(low, high)| low <= code && code <= high)
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::from_codes(self.0.iter().chain(&other.0).copied().collect())
    }

    /// What is not in it.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut next = 0;
        let mut gaps = Vec::with_capacity(self.0.len() + 1);
        for &(low, high) in &self.0 {
            if low > next {
                gaps.push((next, low - 1));
            }
            next = high + 1;
        }
        if next <= LAST {
            gaps.push((next, LAST));
        }
        Self(gaps)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (&*self.0, &*other.0);
        let mut both = Vec::with_capacity(left.len().max(right.len()));
        while let ([(a, b), left_rest @ ..], [(c, d), right_rest @ ..]) = (left, right) {
            if a.max(c) <= b.min(d) {
                both.push((*a.max(c), *b.min(d)));
            }
            if b < d {
                left = left_rest;
            } else {
                right = right_rest;
            }
        }
        Self(both)
    }

    /// What is below a code, and all else.
    pub fn split_at(&self, code: u32) -> (Self, Self) {
        let first = self.0.partition_point(|range| range.1 < code);
        let mut below = self.0[..first].to_vec();
        let mut above = self.0[first..].to_vec();
        if let Some(cut) = above.first_mut().filter(|range| range.0 < code) {
            below.push((cut.0, code - 1));
            cut.0 = code;
        }
        (Self(below), Self(above))
    }

    /// Whether something is in both.
    pub fn intersects(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(&&(a, b)), Some(&&(c, d))) = (left.peek(), right.peek()) {
            if a.max(c) <= b.min(d) {
                return true;
            }
            if b < d {
                left.next();
            } else {
                right.next();
            }
        }
        false
    }

    /// Adds a range beyond all others.
    pub fn append(&mut self, (low, high): (u32, u32)) {
        match self.0.last_mut() {
            Some(last) if last.1.saturating_add(1) == low => last.1 = high,
            _ => self.0.push((low, high)),
        }
    }

    /// The digits of ASCII, ECMA-262 `\d`.
    pub fn digits() -> Self {
        Self::from_codes(vec![(0x30, 0x39)])
    }

    /// ECMA-262 `\w`.
    pub fn word() -> Self {
        Self::from_codes(vec![(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)])
    }

    /// ECMA-262 `\s`: white space and line terminators.
    pub fn space() -> Self {
        Self::from_scalars([
            (0x9, 0xd),
            (0x20, 0x20),
            (0xa0, 0xa0),
            (0x1680, 0x1680),
            (0x2000, 0x200a),
            (0x2028, 0x2029),
            (0x202f, 0x202f),
            (0x205f, 0x205f),
            (0x3000, 0x3000),
            (0xfeff, 0xfeff),
        ])
    }

    /// ECMA-262 `.`: all but line terminators.
    pub fn dot() -> Self {
        Self::from_scalars([(0xa, 0xa), (0xd, 0xd), (0x2028, 0x2029)]).complement()
    }
}

#[cfg(test)]
mod tests {
    use super::{CharSet, LAST};

    #[test]
    fn a_set_is_split_before_a_code_wherever_it_lies() {
        let set = CharSet::from_codes(vec![(10, 20), (30, 30), (40, LAST)]);
        for code in [0, 10, 15, 20, 21, 30, 31, 40, 41, LAST] {
            let below = CharSet::from_codes(vec![(0, code)]);
            let (first, second) = set.split_at(code + 1);
            assert_eq!(first, set.intersection(&below), "{code}");
            assert_eq!(second, set.intersection(&below.complement()), "{code}");
        }
    }
}
