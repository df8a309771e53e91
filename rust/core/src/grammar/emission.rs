//! From forms to rules: one rule for each schema expression that is reached.
//!
//! A work list replaces recursion, so that no schema is too deep. Strings, numbers, arrays and
//! objects have their own files.

use std::collections::VecDeque;
use std::rc::Rc;

use super::array_rules;
use super::charset::CharSet;
use super::counted_strings::Counters;
use super::form::{Expr, ExprId, Form};
use super::hash::Map;
use super::item_kinds::TextClass;
use super::limits::Whitespace;
use super::lowering::Lowering;
use super::numbers::Cell;
use super::object_rules;
use super::open_strings::OpenStrings;
use super::refusal::Result;
use super::rules::{Piece, RuleId, Rules};
use super::text_classes::Feature;
use super::texts::{self, TextsId};

/// Ways on that are written twice, behind each spelling of the comma, rather than given a rule of
/// their own: engines pay for rules by their square.
const SPELT_TWICE_MAX: usize = 12;

/// The rules of one schema in the making.
#[derive(Debug)]
pub struct Emission<'l, 'd> {
    /// What the schema means.
    pub lowering: &'l mut Lowering<'d>,
    /// The rules so far.
    pub rules: Rules,
    pub(super) text_rules: Map<TextsId, RuleId>,
    pub(super) text_classes: Map<(TextsId, Feature), Option<Rc<[TextClass]>>>,
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
        let rules = Rules::new(lowering.options.rules_max);
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
            let alternatives = self.alternatives(expr, &form).map_err(|fault| {
                match self.lowering.expressions.get(expr) {
                    Expr::Schema(node, _) => fault.at(&self.lowering.document.pointer(*node)),
                    _ => fault,
                }
            })?;
            self.rules.define(rule, alternatives);
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

    fn alternatives(&mut self, expr: ExprId, form: &Form) -> Result<Vec<Vec<Piece>>> {
        let mut all = Vec::new();
        let word = |text: &'static str| vec![Piece::Text(text.into())];
        let reordered = self.among_branches(expr, form);
        if let (None, &Expr::Beside(inner, _)) = (&reordered, self.lowering.expressions.get(expr)) {
            return Ok(vec![vec![Piece::Rule(self.rule_of(inner)?)]]);
        }
        for shape in reordered.as_ref().unwrap_or(&form.objects) {
            all.push(vec![Piece::Rule(object_rules::object(self, shape)?)]);
        }
        for shape in &form.arrays {
            all.push(vec![Piece::Rule(array_rules::array(self, shape)?)]);
        }
        if form.strings != texts::NONE {
            all.extend(self.strings(form.strings)?);
        }
        if !form.numbers.0.is_empty() {
            all.extend(self.numbers(&form.numbers, form.integers)?);
        }
        if form.bools & 2 != 0 {
            all.push(word("true"));
        }
        if form.bools & 1 != 0 {
            all.push(word("false"));
        }
        if form.null {
            all.push(word("null"));
        }
        Ok(all)
    }

    /// A mark and a rule, with the blank that may stand between them. The blank is no rule of its
    /// own: an engine would have to try each token that begins with one.
    pub(super) fn spaced(&self, mark: &str, then: RuleId) -> Vec<Vec<Piece>> {
        let behind = |mark: String| vec![Piece::Text(mark.into()), Piece::Rule(then)];
        let mut all = vec![behind(mark.to_owned())];
        if self.lowering.options.whitespace == Whitespace::Single {
            all.push(behind(format!("{mark} ")));
        }
        all
    }

    /// The pieces of one more member or item, behind a comma if it is not the first.
    pub(super) fn next_one(
        &mut self,
        is_first: bool,
        pieces: Vec<Piece>,
    ) -> Result<Vec<Vec<Piece>>> {
        self.next_of(is_first, vec![pieces])
    }

    /// The same for several of which one comes.
    pub(super) fn next_of(
        &mut self,
        is_first: bool,
        all: Vec<Vec<Piece>>,
    ) -> Result<Vec<Vec<Piece>>> {
        if is_first || all.is_empty() {
            return Ok(all);
        }
        if all.len() <= SPELT_TWICE_MAX {
            let marks = match self.lowering.options.whitespace {
                Whitespace::Compact => &[","][..],
                Whitespace::Single => &[",", ", "],
            };
            let behind = |mark: &'static str, pieces: &Vec<Piece>| {
                let mark = Piece::Text(mark.into());
                std::iter::once(mark)
                    .chain(pieces.iter().cloned())
                    .collect()
            };
            let spelt = |mark: &'static str| all.iter().map(move |pieces| behind(mark, pieces));
            return Ok(marks.iter().flat_map(|mark| spelt(mark)).collect());
        }
        let then = self.rules.add(all)?;
        Ok(self.spaced(",", then))
    }

    /// `:` and a value, with the blank that may stand before it.
    pub(super) fn value(&mut self, value: ExprId) -> Result<[Piece; 2]> {
        let rule = self.rule_of(value)?;
        let colon = Piece::Text(":".into());
        if self.lowering.options.whitespace == Whitespace::Compact {
            return Ok([colon, Piece::Rule(rule)]);
        }
        let known = self.blank_before.get(&rule).copied();
        let spaced = if let Some(known) = known {
            known
        } else {
            let blank = Piece::Text(" ".into());
            let all = vec![vec![Piece::Rule(rule)], vec![blank, Piece::Rule(rule)]];
            let made = self.rules.add(all)?;
            self.blank_before.insert(rule, made);
            made
        };
        Ok([colon, Piece::Rule(spaced)])
    }
}
