//! From forms to rules: one rule for each schema expression that is reached.
//!
//! A work list replaces recursion, so that no schema is too deep. Strings, numbers, arrays and
//! objects have their own files.

use std::collections::VecDeque;
use std::rc::Rc;

use super::array_rules;
use super::charset::CharSet;
use super::choices::Choices;
use super::counted_strings::Counters;
use super::form::{Expr, ExprId, Form};
use super::hash::Map;
use super::item_kinds::TextClasses;
use super::limits::Whitespace;
use super::lowering::Lowering;
use super::numbers::Cell;
use super::object_rules;
use super::open_strings::OpenStrings;
use super::refusal::Result;
use super::rules::{RuleId, Rules, Token};
use super::text_classes::Feature;
use super::texts::{self, TextsId};

/// Ways on that are written twice, behind each spelling of the comma, rather than given a rule of
/// their own: engines pay for rules by their square.
const SPELT_TWICE_MAX: usize = 12;

/// Bytes of the words of a rule that engines may write out in each rule that begins with it. They
/// do so where a rule names no other one; of longer words they pay for each copy.
const WRITTEN_OUT_MAX: usize = 12;

/// The rules of one schema in the making.
#[derive(Debug)]
pub struct Emission<'l, 'd> {
    /// What the schema means.
    pub lowering: &'l mut Lowering<'d>,
    /// The rules so far.
    pub rules: Rules,
    pub(super) text_rules: Map<TextsId, RuleId>,
    pub(super) text_classes: Map<(TextsId, Feature), Option<Rc<TextClasses>>>,
    pub(super) classed_names: usize,
    pub(super) foreign_names: usize,
    pub(super) reordered_names: usize,
    /// Values that are written in the order of several branches.
    pub(super) reordered_values: usize,
    /// Ways on from sets of used items.
    pub(super) unordered_ways: usize,
    pub(super) number_rules: Map<(Cell, bool), RuleId>,
    pub(super) open_strings: OpenStrings,
    pub(super) plain_tail: Option<RuleId>,
    pub(super) escapes: Option<RuleId>,
    pub(super) some_escapes: Map<CharSet, RuleId>,
    pub(super) escaped: Option<RuleId>,
    pub(super) close: Option<RuleId>,
    pub(super) counters: Counters,
    /// One character of a set, and nothing beyond it.
    pub(super) single: Map<CharSet, RuleId>,
    pub(super) never: Option<RuleId>,
    pub(super) character_runs: Map<(CharSet, u32), RuleId>,
    blank_before: Map<RuleId, RuleId>,
    expr_rules: Map<ExprId, RuleId>,
    open: VecDeque<ExprId>,
}

impl<'l, 'd> Emission<'l, 'd> {
    /// No rules yet.
    pub fn new(lowering: &'l mut Lowering<'d>) -> Self {
        let rules = Rules::new(lowering.options.rules_max, Rc::clone(&lowering.work));
        Self {
            lowering,
            rules,
            text_rules: Map::default(),
            text_classes: Map::default(),
            classed_names: 0,
            foreign_names: 0,
            reordered_names: 0,
            reordered_values: 0,
            unordered_ways: 0,
            number_rules: Map::default(),
            open_strings: OpenStrings::default(),
            plain_tail: None,
            escapes: None,
            some_escapes: Map::default(),
            escaped: None,
            close: None,
            counters: Counters::default(),
            single: Map::default(),
            never: None,
            character_runs: Map::default(),
            blank_before: Map::default(),
            expr_rules: Map::default(),
            open: VecDeque::new(),
        }
    }

    /// Makes the rules of a schema and of all that it contains; returns its rule.
    ///
    /// # Errors
    /// What cannot be said exactly, or a bound.
    pub fn schema(&mut self, root: ExprId) -> Result<RuleId> {
        let rule = self.rule_of(root)?;
        while let Some(expr) = self.open.pop_front() {
            let form = self.lowering.form(expr)?;
            let rule = self.expr_rules[&expr];
            let mut alternatives = self.alternatives(expr, &form).map_err(|fault| {
                match self.lowering.expressions.get(expr) {
                    Expr::Schema(node, _) => fault.at(&self.lowering.document.pointer(*node)),
                    _ => fault,
                }
            })?;
            let length = self.rules.length_of_words(&alternatives);
            if self.is_shared() && length.is_some_and(|length| length > WRITTEN_OUT_MAX) {
                alternatives.push(&[Token::Rule(self.never()?)]);
            }
            self.rules.define_choices(rule, &alternatives);
        }
        self.finish_words()?;
        Ok(rule)
    }

    /// The rule of an expression; its body follows later.
    pub(super) fn rule_of(&mut self, expr: ExprId) -> Result<RuleId> {
        if let Some(&rule) = self.expr_rules.get(&expr) {
            return Ok(rule);
        }
        let rule = self.rules.reserve()?;
        self.expr_rules.insert(expr, rule);
        self.open.push_back(expr);
        Ok(rule)
    }

    fn alternatives(&mut self, expr: ExprId, form: &Form) -> Result<Choices> {
        let mut all = Choices::default();
        let reordered = self.among_branches(expr, form);
        if let (None, &Expr::Beside(inner, _)) = (&reordered, self.lowering.expressions.get(expr)) {
            all.push(&[Token::Rule(self.rule_of(inner)?)]);
            return Ok(all);
        }
        for shape in reordered.as_ref().unwrap_or(&form.objects) {
            all.push(&[Token::Rule(object_rules::object(self, shape)?)]);
        }
        for shape in &form.arrays {
            all.push(&[Token::Rule(array_rules::array(self, shape)?)]);
        }
        if form.strings != texts::NONE {
            self.strings(form.strings, &mut all)?;
        }
        if !form.numbers.0.is_empty() {
            for pieces in self.numbers(&form.numbers, form.integers)? {
                let pieces = pieces.into_iter().map(|piece| self.rules.token(piece));
                all.push(&pieces.collect::<Vec<_>>());
            }
        }
        let words = [
            ("true", form.bools & 2 != 0),
            ("false", form.bools & 1 != 0),
            ("null", form.null),
        ];
        for (word, _) in words.into_iter().filter(|word| word.1) {
            all.push(&[self.rules.text_token(word)]);
        }
        Ok(all)
    }

    /// The spellings of a comma. Its blank is no rule of its own: an engine would have to try each
    /// token that begins with one.
    fn commas(&self) -> &'static [&'static str] {
        match self.lowering.options.whitespace {
            Whitespace::Compact => &[","],
            Whitespace::Single => &[",", ", "],
        }
    }

    /// A comma and a rule.
    pub(super) fn behind_comma(&mut self, then: RuleId) -> Choices {
        let mut all = Choices::default();
        for &comma in self.commas() {
            all.push(&[self.rules.text_token(comma), Token::Rule(then)]);
        }
        all
    }

    /// Adds one more member or item, behind a comma if it is not the first.
    pub(super) fn next_one(
        &mut self,
        is_first: bool,
        pieces: &[Token],
        all: &mut Choices,
    ) -> Result<()> {
        let mut one = Choices::default();
        one.push(pieces);
        self.next_of(is_first, &one, all)
    }

    /// The same for several of which one comes.
    pub(super) fn next_of(
        &mut self,
        is_first: bool,
        ways: &Choices,
        all: &mut Choices,
    ) -> Result<()> {
        if is_first || ways.is_empty() {
            all.extend(ways);
        } else if ways.len() <= SPELT_TWICE_MAX {
            for &comma in self.commas() {
                let comma = self.rules.text_token(comma);
                all.extend_behind(comma, ways);
            }
        } else {
            let then = self.rules.add_choices(ways)?;
            all.extend(&self.behind_comma(then));
        }
        Ok(())
    }

    /// `:` and a value, with the blank that may stand before it.
    pub(super) fn value(&mut self, value: ExprId) -> Result<[Token; 2]> {
        let rule = self.rule_of(value)?;
        let colon = self.rules.text_token(":");
        if self.lowering.options.whitespace == Whitespace::Compact {
            return Ok([colon, Token::Rule(rule)]);
        }
        let known = self.blank_before.get(&rule).copied();
        let spaced = if let Some(known) = known {
            known
        } else {
            let mut all = Choices::default();
            all.push(&[Token::Rule(rule)]);
            all.push(&[self.rules.text_token(" "), Token::Rule(rule)]);
            let made = self.rules.add_choices(&all)?;
            self.blank_before.insert(rule, made);
            made
        };
        Ok([colon, Token::Rule(spaced)])
    }
}

#[cfg(test)]
mod tests {
    use crate::grammar::limits::Options;

    #[test]
    fn a_rule_of_long_words_names_another_rule_and_one_of_short_words_does_not() {
        let words = |schema: &str| {
            let made = crate::grammar::compile(schema.as_bytes(), &Options::default()).unwrap();
            let rule = made.text.lines().find(|line| line.contains(r#""\"b\"""#));
            rule.unwrap().to_owned()
        };
        let long = words(
            r#"{"properties": {"a": {"enum": ["b", "a longer word"]}}, "required": ["a"],
                "additionalProperties": false}"#,
        );
        let (_, last) = long.rsplit_once(" | ").unwrap();
        assert!(last.starts_with('r'), "{long}");
        let short = words(
            r#"{"properties": {"a": {"enum": ["b", "c"]}}, "required": ["a"],
                "additionalProperties": false}"#,
        );
        assert!(!short.contains("| r"), "{short}");
    }
}
