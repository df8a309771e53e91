//! The texts in which a pattern is found: search meaning, anchors and lookaheads decided.
//!
//! A pattern is read from right to left with "what may follow" as a term; an assertion cuts that
//! term. So `^`, `$`, `(?=…)` and `(?!…)` are exact wherever they do not stand in a loop.

use std::rc::Rc;

use super::automaton::{Automaton, TooManyStates};
use super::charset::CharSet;
use super::nondeterministic::Term;
use super::pattern::{Pattern, PatternFault, parse, parse_with};
use super::work::Work;

/// Assertions one after the other, and what stands between them: each is a step down.
const PARTS_MAX: usize = 200;

/// Why a pattern has no automaton.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchFault {
    /// See [`PatternFault`].
    Pattern(PatternFault),
    /// It needs more states than allowed.
    TooManyStates,
}

impl From<PatternFault> for SearchFault {
    fn from(fault: PatternFault) -> Self {
        Self::Pattern(fault)
    }
}

impl From<TooManyStates> for SearchFault {
    fn from(_: TooManyStates) -> Self {
        Self::TooManyStates
    }
}

type Searched<T> = Result<T, SearchFault>;

/// The texts that contain a match of the pattern.
///
/// # Errors
/// [`SearchFault`]: malformed, not regular, or too large.
pub fn texts_with(pattern: &str, work: &Work) -> Searched<Automaton> {
    found(&parse(pattern)?, work)
}

/// The same for the readers whose `.` is anything but a line feed, as in most languages; ECMA-262
/// leaves out three more ends of lines.
///
/// # Errors
/// As [`texts_with`].
pub fn texts_with_wide_dots(pattern: &str, work: &Work) -> Searched<Automaton> {
    let dot = CharSet::one('\n').complement();
    found(&parse_with(pattern, dot)?, work)
}

fn found(pattern: &Pattern, work: &Work) -> Searched<Automaton> {
    let search = Search { work };
    let rest = Rc::new(Term::anything());
    let at_start = search.followed(pattern, &rest, true)?;
    let skipped = Rc::new(Term::Repeat(
        Rc::new(Term::Set(CharSet::all().into())),
        1,
        None,
    ));
    let later = search.followed(pattern, &rest, false)?;
    let later = Rc::new(Term::Sequence(vec![skipped, later]));
    Ok(Term::Any(vec![at_start, later]).automaton(work)?)
}

/// The texts that a pattern matches from end to end; for formats written as patterns.
///
/// # Errors
/// As [`texts_with`].
pub fn texts_equal_to(pattern: &str, work: &Work) -> Searched<Automaton> {
    let pattern = parse(pattern)?;
    let end = Rc::new(Term::Sequence(Vec::new()));
    let term = Search { work }.followed(&pattern, &end, true)?;
    Ok(term.automaton(work)?)
}

struct Search<'w> {
    work: &'w Work,
}

impl Search<'_> {
    /// The texts that begin with the pattern and go on with `rest`.
    fn followed(&self, pattern: &Pattern, rest: &Rc<Term>, at_start: bool) -> Searched<Rc<Term>> {
        if !asserts(pattern) {
            return Ok(Rc::new(Term::Sequence(vec![
                plain(pattern)?,
                Rc::clone(rest),
            ])));
        }
        Ok(match pattern {
            Pattern::Start if at_start => Rc::clone(rest),
            Pattern::End if rest.is_nullable() => Rc::new(Term::Sequence(Vec::new())),
            Pattern::Start | Pattern::End | Pattern::Class(_) => Rc::new(Term::Never),
            Pattern::Look(inner, negative) => {
                let anything = Rc::new(Term::anything());
                let mut seen = self
                    .followed(inner, &anything, at_start)?
                    .automaton(self.work)?;
                if *negative {
                    seen = seen.complement();
                }
                let rest = rest.automaton(self.work)?;
                Rc::new(Term::Ready(Rc::new(seen.intersection(&rest, self.work)?)))
            }
            Pattern::Concat(parts) => self.sequence(&joined(parts)?, rest, at_start)?,
            Pattern::Alternatives(all) => {
                let each = all.iter().map(|one| self.followed(one, rest, at_start));
                Rc::new(Term::Any(each.collect::<Searched<_>>()?))
            }
            Pattern::Repeat(inner, 1, Some(1)) => self.followed(inner, rest, at_start)?,
            Pattern::Repeat(inner, 0, Some(1)) => {
                let once = self.followed(inner, rest, at_start)?;
                Rc::new(Term::Any(vec![once, Rc::clone(rest)]))
            }
            Pattern::Repeat(inner, _, _) if is_zero_width(inner) => {
                return Err(unsupported("a repeated assertion"));
            }
            Pattern::Repeat(..) => return Err(unsupported("an assertion inside a repetition")),
            Pattern::WordBoundary(_) => return Err(unsupported("a word boundary")),
            Pattern::Behind(..) => return Err(unsupported("a lookbehind")),
        })
    }

    fn sequence(&self, parts: &[Pattern], rest: &Rc<Term>, at_start: bool) -> Searched<Rc<Term>> {
        let Some((first, others)) = parts.split_first() else {
            return Ok(Rc::clone(rest));
        };
        if is_zero_width(first) {
            let tail = self.sequence(others, rest, at_start)?;
            return self.followed(first, &tail, at_start);
        }
        let tail = self.sequence(others, rest, false)?;
        let through = self.followed(first, &tail, at_start)?;
        let starts_later = at_start && others.iter().any(mentions_start);
        if !(starts_later && may_be_empty(first)) {
            return Ok(through);
        }
        // The first part may match nothing, and what follows is then still at the start.
        let skipped = self.sequence(others, rest, true)?;
        if asserts(first) {
            return Err(unsupported("a ^ behind an optional assertion"));
        }
        Ok(Rc::new(Term::Any(vec![through, skipped])))
    }
}

/// The same parts, with those beside each other as one that assert nothing.
fn joined(parts: &[Pattern]) -> Searched<Vec<Pattern>> {
    let runs = parts.chunk_by(|one, other| !asserts(one) && !asserts(other));
    let joined: Vec<Pattern> = runs
        .map(|run| match run {
            [one] => one.clone(),
            _ => Pattern::Concat(run.to_vec()),
        })
        .collect();
    if joined.len() > PARTS_MAX {
        return Err(unsupported("more than 100 assertions one after the other"));
    }
    Ok(joined)
}

fn unsupported(what: &'static str) -> SearchFault {
    SearchFault::Pattern(PatternFault::Unsupported(what))
}

fn is_zero_width(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Class(_) => false,
        Pattern::Concat(parts) | Pattern::Alternatives(parts) => parts.iter().all(is_zero_width),
        Pattern::Repeat(inner, _, _) => is_zero_width(inner),
        _ => true,
    }
}

fn may_be_empty(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Class(_) => false,
        Pattern::Concat(parts) => parts.iter().all(may_be_empty),
        Pattern::Alternatives(parts) => parts.iter().any(may_be_empty),
        Pattern::Repeat(inner, min, _) => *min == 0 || may_be_empty(inner),
        _ => true,
    }
}

fn mentions_start(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Start => true,
        Pattern::Class(_) | Pattern::End | Pattern::WordBoundary(_) => false,
        Pattern::Concat(parts) | Pattern::Alternatives(parts) => parts.iter().any(mentions_start),
        Pattern::Repeat(inner, _, _) | Pattern::Look(inner, _) | Pattern::Behind(inner, _) => {
            mentions_start(inner)
        }
    }
}

fn asserts(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Class(_) => false,
        Pattern::Concat(parts) | Pattern::Alternatives(parts) => parts.iter().any(asserts),
        Pattern::Repeat(inner, _, _) => asserts(inner),
        _ => true,
    }
}

/// The term of a pattern without assertions.
fn plain(pattern: &Pattern) -> Searched<Rc<Term>> {
    let all = |parts: &[Pattern]| parts.iter().map(plain).collect::<Searched<Vec<_>>>();
    Ok(Rc::new(match pattern {
        Pattern::Class(set) => Term::Set(set.clone().into()),
        Pattern::Concat(parts) => Term::Sequence(all(parts)?),
        Pattern::Alternatives(parts) => Term::Any(all(parts)?),
        Pattern::Repeat(inner, min, max) => Term::Repeat(plain(inner)?, *min, *max),
        _ => return Err(unsupported("an assertion")),
    }))
}

#[cfg(test)]
mod tests {
    use super::{Work, texts_with};

    fn found(pattern: &str, text: &str) -> bool {
        texts_with(pattern, &Work::of_states(2_000))
            .unwrap()
            .contains(text)
    }

    #[test]
    fn patterns_search() {
        assert!(found("b+", "abc"));
        assert!(!found("b+", "xyz"));
        assert!(found("", ""));
    }

    #[test]
    fn anchors_bind_one_alternative() {
        assert!(found("^a|b$", "ax") && found("^a|b$", "xb"));
        assert!(!found("^a|b$", "xa") && !found("^a|b$", "bx"));
        assert!(found("(^|,)a(,|$)", "b,a") && !found("(^|,)a(,|$)", "ba"));
        assert!(found("x*^a", "ab") && !found("x*^a", "xa"));
    }

    #[test]
    fn nothing_is_looked_for_behind_a_match() {
        let made = texts_with("x{5}|x{300}", &Work::of_states(200)).unwrap();
        assert_eq!(made.len(), 6);
        let made = texts_with("^[a-f]{32}|[a-f]{40}|[a-f]{128}$", &Work::of_states(100)).unwrap();
        for (text, is_in) in [
            ("a".repeat(31), false),
            ("a".repeat(32) + "!", true),
            ("!".to_owned() + &"a".repeat(39), false),
            ("!".to_owned() + &"a".repeat(40) + "!", true),
        ] {
            assert_eq!(made.contains(&text), is_in, "{text}");
        }
    }

    #[test]
    fn lookaheads_cut_what_follows() {
        assert!(found("^(?!foo)[a-z]+$", "bar") && !found("^(?!foo)[a-z]+$", "foo"));
        assert!(found("^(?=.*\\d)(?=.*[a-z]).{3,}$", "1ab"));
        assert!(!found("^(?=.*\\d)(?=.*[a-z]).{3,}$", "abc"));
        assert!(found("a(?!b)c?", "ac") && !found("a(?!b)", "ab"));
    }

    #[test]
    fn long_patterns_are_walked_without_going_deep() {
        let long = "ab?".repeat(2_000);
        let texts = texts_with(&format!("^{long}$"), &Work::of_states(6_000)).unwrap();
        assert!(texts.contains(&"a".repeat(2_000)) && !texts.contains(&"a".repeat(2_001)));
        let assertions = format!("{long}{}", "(?!x)y?".repeat(20_000));
        for pattern in [format!("^{}$", "ab?".repeat(20_000)), assertions] {
            assert!(texts_with(&pattern, &Work::of_states(6_000)).is_err());
        }
    }

    #[test]
    fn end_is_the_very_end() {
        assert!(!found("^a$", "a\n"));
        assert!(!found("a$b", "ab"));
    }
}
