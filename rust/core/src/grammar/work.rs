//! What one compilation may do in all, whatever it is made of: automata, sets of strings, rules.
//!
//! Each of its parts is bounded by itself, but a schema may have thousands of them. So all parts
//! count their steps here, and the places that can refuse look whether there are too many.

use std::cell::Cell;

use super::refusal::{Refusal, Result};

/// The steps that are left, and how large one automaton may become.
#[derive(Debug)]
pub struct Work {
    /// States of one automaton.
    pub states_max: usize,
    steps_max: usize,
    steps_left: Cell<usize>,
}

impl Work {
    /// Of one compilation that has not begun.
    pub const fn new(states_max: usize, steps_max: usize) -> Self {
        Self {
            states_max,
            steps_max,
            steps_left: Cell::new(steps_max),
        }
    }

    /// Of what no client chose.
    pub const fn of_states(states_max: usize) -> Self {
        Self::new(states_max, usize::MAX)
    }

    /// Counts steps.
    pub fn count(&self, steps: usize) {
        self.steps_left
            .set(self.steps_left.get().saturating_sub(steps));
    }

    /// Whether there were too many.
    pub const fn is_done(&self) -> bool {
        self.steps_left.get() == 0
    }

    /// Goes on, unless there were too many steps.
    ///
    /// # Errors
    /// Too large past the limit.
    pub fn check(&self) -> Result<()> {
        if self.is_done() {
            return Err(Refusal::too_large("steps_max", self.steps_max));
        }
        Ok(())
    }

    /// Why an automaton was not finished.
    pub fn refusal(&self) -> Refusal {
        let too_many_states = || Refusal::too_large("states_max", self.states_max);
        self.check().err().unwrap_or_else(too_many_states)
    }
}

#[cfg(test)]
mod tests {
    use crate::grammar::compile;
    use crate::grammar::limits::Options;

    fn refusal(keyword: &str, count: usize, one: impl Fn(usize) -> String) -> String {
        let all: Vec<String> = (0..count).map(one).collect();
        let schema = format!(r#"{{"{keyword}": [{}]}}"#, all.join(","));
        let refusal = compile(schema.as_bytes(), &Options::default()).unwrap_err();
        assert_eq!(refusal.hint, "simplify the schema, or raise steps_max");
        refusal.reason
    }

    #[test]
    fn the_bound_is_an_option() {
        let schema = br#"{"enum": ["one", "two", "three"]}"#;
        let of = |steps_max| Options {
            steps_max,
            ..Options::default()
        };
        let reason = compile(schema, &of(10)).unwrap_err().reason;
        assert!(reason.contains("steps_max = 10 "), "{reason}");
        assert!(compile(schema, &of(100_000)).is_ok());
    }

    #[test]
    fn many_parts_that_are_small_by_themselves_are_too_much_work() {
        let multiple = |at: usize| format!(r#"{{"multipleOf": {}}}"#, at + 2);
        let letters = |at: usize| format!(r#"{{"pattern": "\\p{{L}}{at}"}}"#);
        let whole = |at: usize| format!(r#"{{"pattern": "^a{at}$"}}"#);
        let bounded = |at: usize| {
            let pattern = r"^(\\p{L}+\\p{N}+){0,300}$";
            format!(r#"{{"pattern": "{pattern}", "maxLength": 40{at:03}}}"#)
        };
        for reason in [
            refusal("anyOf", 600, multiple),
            refusal("prefixItems", 600, multiple),
            refusal("anyOf", 2_500, letters),
            refusal("allOf", 2_500, letters),
            refusal("anyOf", 3_000, whole),
            refusal("prefixItems", 40, bounded),
        ] {
            assert!(reason.contains("steps_max"), "{reason}");
        }
    }

    #[test]
    fn one_text_of_thousands_of_characters_is_too_much_work() {
        let many: String = ('\u{4e00}'..).take(9_000).collect();
        let reason = refusal("allOf", 1, |_| {
            format!(r#"{{"not": {{"const": "{many}"}}}}"#)
        });
        assert!(reason.contains("steps_max"), "{reason}");
    }
}
