//! How much a regular expression may cost whoever builds its automaton, by a look at its text.
//!
//! Bounded repetitions are copies: beside each other they add up, inside each other they multiply,
//! and a counter inside a counter is where building takes seconds. Syntax is judged elsewhere.

/// Copies of characters, all repetitions written out.
const SIZE_MAX: u64 = 6_000;
/// The same, of a repetition inside a repetition.
const NESTED_SIZE_MAX: u64 = 1_000;
/// A class such as `\p{L}` holds hundreds of ranges.
const PROPERTY_SIZE: u64 = 40;

/// What stands between two parentheses: its size, and that of its last part.
#[derive(Clone, Copy, Default)]
struct Group {
    size: u64,
    last: u64,
    is_counted: bool,
    is_last_counted: bool,
}

impl Group {
    fn add(&mut self, size: u64, is_counted: bool) {
        self.size = self.size.saturating_add(size);
        self.last = size;
        self.is_last_counted = is_counted;
        self.is_counted |= is_counted;
    }

    /// The size that counters inside counters now have; 0 where there are none.
    fn repeat(&mut self, times: u64) -> u64 {
        let size = self.last.saturating_mul(times);
        let nested = if self.is_last_counted { size } else { 0 };
        self.size = self.size.saturating_add(size - self.last);
        self.last = size;
        self.is_last_counted |= times > 1;
        self.is_counted |= self.is_last_counted;
        nested
    }
}

/// Whether a pattern's repetitions are more than may be built. Cost: O(pattern), times the depth of
/// its groups.
pub fn is_costly(pattern: &str) -> bool {
    let mut groups = vec![Group::default()];
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let piece = &rest[..piece_length(rest)];
        rest = &rest[piece.len()..];
        let times = times(piece);
        let depth = groups.len();
        let group = &mut groups[depth - 1];
        if piece == "(" {
            groups.push(Group::default());
        } else if piece == ")" && depth > 1 {
            let inner = *group;
            groups.pop();
            groups[depth - 2].add(inner.size, inner.is_counted);
        } else if let Some(times) = times {
            if group.repeat(times.max(1)) > NESTED_SIZE_MAX {
                return true;
            }
        } else if piece.len() > 1 || !"*+?|)^$".contains(first) {
            let is_property = piece.starts_with("\\p{") || piece.starts_with("\\P{");
            group.add(if is_property { PROPERTY_SIZE } else { 1 }, false);
        }
        let sizes = groups.iter().map(|group| group.size);
        if sizes.fold(0, u64::saturating_add) > SIZE_MAX {
            return true;
        }
    }
    false
}

/// The bytes of the piece that a pattern begins with: a class, an escape, a counter, a character.
fn piece_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let whole = match bytes[0] {
        b'\\' if matches!(bytes.get(1..3), Some(b"p{" | b"P{")) => {
            rest.find('}').map(|end| end + 1)
        }
        b'[' => class_end(bytes),
        b'{' => rest
            .find('}')
            .filter(|&end| times(&rest[..=end]).is_some())
            .map(|end| end + 1),
        _ => None,
    };
    let character = |from: usize| rest[from..].chars().next().map_or(0, char::len_utf8);
    whole.unwrap_or_else(|| match bytes[0] {
        b'\\' => 1 + character(1),
        _ => character(0),
    })
}

fn class_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b']' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// How often at most a counter such as `{2,5}` repeats.
fn times(piece: &str) -> Option<u64> {
    let inner = piece.strip_prefix('{')?.strip_suffix('}')?;
    let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if low.is_empty() || !digits(low) || !digits(high) {
        return None;
    }
    let number = |part: &str| {
        if part.is_empty() {
            0
        } else {
            part.parse().unwrap_or(u64::MAX)
        }
    };
    Some(number(low).max(number(high)))
}

#[cfg(test)]
mod tests {
    use super::is_costly;

    #[test]
    fn counters_inside_counters_and_very_long_ones_are_costly() {
        for (pattern, costs) in [
            (r"^[a-z]{1,63}(\.[a-z]{1,63}){0,8}$", false), // a host name
            (r"^\d{4}-\d{2}-\d{2}$", false),
            (r"(a+)+b", false), // an automaton does not go back
            (r"[a-z]{1,5000}", false),
            (r"\p{L}{1,100}", false),
            (r"(\{9999\}|[{9999}]){2}", false), // braces that repeat nothing
            (r"x{0,7000}", true),
            (r"[a-z]{5000}[0-9]{5000}", true),
            (r"\p{L}{300}", true),
            (r"([a-f]{1,90}){1,90}", true),
            (r"((a{1,50}){1,50}){1,50}", true),
            (r"(x.{0,400}y){9}", true),
            (r"x{99999999999999999999999}", true),
            (r"é{3000}ü{4000}", true),
            (r"(((((", false),
            (r")){3}", false),
            (r"{99999}", false),
            (r"[\", false),
            (r"\", false),
            (r"\p{", false),
            ("", false),
        ] {
            assert_eq!(is_costly(pattern), costs, "{pattern}");
        }
    }
}
