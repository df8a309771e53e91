//! Exact decimals: what JSON can write, compared and divided without floats.
//!
//! A value is `0.d1d2d3… × 10^point` with a sign; digits have no leading and no trailing zeros.

use std::cmp::Ordering;

/// Digits of a number beyond which a text is not taken as a number; 1e308 has 309.
const DIGITS_MAX: usize = 2_000;

/// One exact number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    point: i32,
}

impl Decimal {
    /// Zero.
    pub const fn zero() -> Self {
        Self {
            negative: false,
            digits: Vec::new(),
            point: 0,
        }
    }

    /// A small whole number.
    pub fn from_integer(value: u64) -> Self {
        Self::from_parts(false, &value.to_string(), "", 0)
    }

    /// Reads a JSON number; none where the text is not one, or is absurdly long.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], read_exponent(&rest[at + 1..])?),
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let well_formed = !whole.is_empty()
            && (whole == "0" || !whole.starts_with('0'))
            && whole.len() + fraction.len() <= DIGITS_MAX
            && digits_only(whole)
            && digits_only(fraction);
        well_formed.then(|| Self::from_parts(negative, whole, fraction, exponent))
    }

    fn from_parts(negative: bool, whole: &str, fraction: &str, exponent: i32) -> Self {
        let mut digits: Vec<u8> = whole
            .bytes()
            .chain(fraction.bytes())
            .map(|byte| byte - b'0')
            .collect();
        let whole_len = i32::try_from(whole.len()).unwrap_or(i32::MAX);
        let leading = digits.iter().take_while(|&&digit| digit == 0).count();
        digits.drain(..leading);
        while digits.last() == Some(&0) {
            digits.pop();
        }
        if digits.is_empty() {
            return Self::zero();
        }
        let leading = i32::try_from(leading).unwrap_or(i32::MAX);
        Self {
            negative,
            digits,
            point: whole_len.saturating_add(exponent).saturating_sub(leading),
        }
    }

    /// Whether it is below zero.
    pub const fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Whether it is a whole number.
    pub fn is_integer(&self) -> bool {
        usize::try_from(self.point).is_ok_and(|point| point >= self.digits.len()) || self.is_zero()
    }

    /// The same distance from zero on the other side.
    #[must_use]
    pub fn negated(&self) -> Self {
        Self {
            negative: !self.negative && !self.is_zero(),
            ..self.clone()
        }
    }

    /// Where the digits begin relative to the point: `0.ddd × 10^point`.
    pub const fn point(&self) -> i32 {
        self.point
    }

    /// Digits before and after the point of the magnitude; the first is `[0]` below one.
    ///
    /// Cost: as many digits as [`Decimal::point`] says; the callers bound it.
    pub fn magnitude(&self) -> (Vec<u8>, Vec<u8>) {
        let point = usize::try_from(self.point).unwrap_or(0);
        let below = usize::try_from(-self.point).unwrap_or(0);
        let split = point.min(self.digits.len());
        let mut whole = self.digits[..split].to_vec();
        whole.resize(point, 0);
        if whole.is_empty() {
            whole.push(0);
        }
        let mut fraction = vec![0; if self.is_zero() { 0 } else { below }];
        fraction.extend_from_slice(&self.digits[split..]);
        (whole, fraction)
    }

    /// As a count: a whole number from 0 to `u32::MAX`, or larger ones cut to it.
    pub fn as_count(&self) -> Option<u32> {
        if self.negative || !self.is_integer() {
            return None;
        }
        if self.point > 10 {
            return Some(u32::MAX);
        }
        let (whole, _) = self.magnitude();
        let value = whole
            .iter()
            .fold(0_u64, |value, &digit| value * 10 + u64::from(digit));
        Some(u32::try_from(value).unwrap_or(u32::MAX))
    }

    /// The magnitude as `mantissa × 10^-scale` with the smallest `scale ≥ 0`; none past 18 digits.
    pub fn scaled(&self) -> Option<(u64, u32)> {
        let (whole, fraction) = (self.point <= 18 && self.point > -18).then(|| self.magnitude())?;
        let digits = whole.iter().chain(&fraction);
        if whole.len() + fraction.len() > 19 {
            return None;
        }
        let mantissa = digits.fold(0_u64, |value, &digit| value * 10 + u64::from(digit));
        Some((mantissa, u32::try_from(fraction.len()).ok()?))
    }

    /// The largest whole number of units of `10^-scale` that is not above the value; none past 18
    /// digits.
    pub fn floored(&self, scale: u32) -> Option<i64> {
        let places = usize::try_from(scale).ok()?;
        let (whole, fraction) = (self.point <= 18 && self.point > -18).then(|| self.magnitude())?;
        if whole.len() + places > 18 {
            return None;
        }
        let kept = fraction
            .iter()
            .copied()
            .chain(std::iter::repeat(0))
            .take(places);
        let units = whole.iter().copied().chain(kept);
        let units = units.fold(0_i64, |value, digit| value * 10 + i64::from(digit));
        let cut = fraction.iter().skip(places).any(|&digit| digit > 0);
        Some(if self.negative {
            -units - i64::from(cut)
        } else {
            units
        })
    }

    /// The number of so many units of `10^-scale`.
    pub fn from_units(units: i64, scale: u32) -> Option<Self> {
        Self::parse(&format!("{units}e-{scale}"))
    }

    /// The remainder of the magnitude in units of `10^-scale`, modulo `modulus`; none where the
    /// number is not a whole multiple of that unit.
    pub fn remainder(&self, modulus: u64, scale: u32) -> Option<u64> {
        let step = |rest: u64, digit: u64| {
            u64::try_from((u128::from(rest) * 10 + u128::from(digit)) % u128::from(modulus))
        };
        let places = i64::from(self.point) + i64::from(scale);
        if self.is_zero() {
            return Some(0);
        }
        let places = usize::try_from(places)
            .ok()
            .filter(|&places| places <= 100_000)?;
        let zeros = places.checked_sub(self.digits.len())?;
        let digits = self.digits.iter().map(|&digit| u64::from(digit));
        let mut rest = 0;
        for digit in digits.chain(std::iter::repeat_n(0, zeros)) {
            rest = step(rest, digit).ok()?;
        }
        Some(rest)
    }

    /// The canonical JSON text: no exponent while it stays short, no trailing zeros.
    pub fn text(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        if self.point.unsigned_abs() > 330 {
            let digits: String = self
                .digits
                .iter()
                .map(|digit| char::from(b'0' + digit))
                .collect();
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            return format!("{sign}{first}{point}{rest}e{}", i64::from(self.point) - 1);
        }
        let (whole, fraction) = self.magnitude();
        let text = |digits: &[u8]| -> String {
            digits
                .iter()
                .map(|digit| char::from(b'0' + digit))
                .collect()
        };
        if fraction.is_empty() {
            return format!("{sign}{}", text(&whole));
        }
        format!("{sign}{}.{}", text(&whole), text(&fraction))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let magnitude = || match (self.is_zero(), other.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self
                .point
                .cmp(&other.point)
                .then_with(|| self.digits.cmp(&other.digits)),
        };
        match (self.negative, other.negative) {
            (false, false) => magnitude(),
            (true, true) => magnitude().reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

/// The exponent's value, cut to a range in which sums cannot overflow.
fn read_exponent(text: &str) -> Option<i32> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value = digits
        .parse::<i32>()
        .map_or(1_000_000, |value| value.min(1_000_000));
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn spellings_of_one_value_are_equal() {
        for (left, right) in [("1", "1.0"), ("100", "1e2"), ("0.5", "5e-1"), ("-0", "0")] {
            assert_eq!(number(left), number(right));
        }
    }

    #[test]
    fn order_is_by_value() {
        let texts = [
            "-1e3", "-2", "-0.5", "0", "0.05", "0.5", "1", "9.99", "10", "1e300",
        ];
        for pair in texts.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn texts_are_canonical() {
        for (text, canonical) in [("1e2", "100"), ("0.050", "0.05"), ("-12.5e1", "-125")] {
            assert_eq!(number(text).text(), canonical);
        }
    }

    #[test]
    fn malformed_texts_are_none() {
        for text in ["", "-", "01", "1.", ".5", "1e", "1e+", "+1", "--1", "1.2.3"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn remainders_scale() {
        assert_eq!(number("7.5").remainder(5, 1), Some(0));
        assert_eq!(number("7.55").remainder(5, 1), None);
        assert_eq!(number("1e20").remainder(7, 0), Some(2));
    }
}
