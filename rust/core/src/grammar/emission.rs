//! From forms to rules: one rule for each schema expression that is reached.
//!
//! A work list replaces recursion, so that no schema is too deep. Strings, numbers, arrays and
//! objects have their own files.

use std::collections::VecDeque;

use super::array_rules;
use super::form::{ExprId, Form};
use super::hash::Map;
use super::limits::Whitespace;
use super::lowering::Lowering;
use super::numbers::Numbers;
use super::object_rules;
use super::open_strings::OpenStrings;
use super::refusal::Result;
use super::rules::{Piece, RuleId, Rules};
use super::texts::{self, TextsId};

/// The rules of one schema in the making.
#[derive(Debug)]
pub struct Emission<'l, 'd> {
    /// What the schema means.
    pub lowering: &'l mut Lowering<'d>,
    /// The rules so far.
    pub rules: Rules,
    pub(super) text_rules: Map<TextsId, RuleId>,
    pub(super) number_rules: Map<Numbers, RuleId>,
    pub(super) open_strings: OpenStrings,
    pub(super) plain_tail: Option<RuleId>,
    pub(super) escapes: Option<RuleId>,
    pub(super) countdown: Vec<RuleId>,
    pub(super) chunk: Option<RuleId>,
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
            number_rules: Map::default(),
            open_strings: OpenStrings::default(),
            plain_tail: None,
            escapes: None,
            countdown: Vec::new(),
            chunk: None,
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
            let alternatives = self.alternatives(&form).map_err(|fault| {
                use super::form::Expr;
                match self.lowering.expressions.get(expr) {
                    Expr::Schema(node, _) => fault.at(&self.lowering.document.pointer(*node)),
                    _ => fault,
                }
            })?;
            self.rules.define(rule, alternatives);
        }
        self.finish_open_strings()?;
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

    fn alternatives(&mut self, form: &Form) -> Result<Vec<Vec<Piece>>> {
        let mut all = Vec::new();
        let word = |text: &str| vec![Piece::Text(text.to_owned())];
        for shape in &form.objects {
            all.push(vec![Piece::Rule(object_rules::object(self, shape)?)]);
        }
        for shape in &form.arrays {
            all.push(vec![Piece::Rule(array_rules::array(self, shape)?)]);
        }
        if form.strings != texts::NONE {
            all.extend(self.strings(form.strings)?);
        }
        if !form.numbers.0.is_empty() {
            all.extend(self.numbers(&form.numbers)?);
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

    /// `,` and what may stand after it.
    pub(super) fn comma(&self) -> Vec<Piece> {
        self.spaced(",")
    }

    /// A mark and the blank after it.
    pub(super) fn spaced(&self, mark: &str) -> Vec<Piece> {
        let mut pieces = vec![Piece::Text(mark.to_owned())];
        if self.lowering.options.whitespace == Whitespace::Single {
            pieces.push(Piece::Blank);
        }
        pieces
    }
}
