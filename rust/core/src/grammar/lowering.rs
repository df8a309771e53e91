//! From schema expressions to typed normal forms: the state of one compilation.
//!
//! Forms are made on demand and kept; nothing below an array or object is looked into before the
//! grammar asks for it, so recursive schemas end. The keywords are in [`super::keywords`],
//! [`super::applicators`] and [`super::values`], the laws of sets in [`super::combination`].

use std::rc::Rc;

use super::document::{Document, Member, Node, NodeId};
use super::expressions::Expressions;
use super::form::{ANY, Expr, ExprId, Form, NOTHING};
use super::hash::Map;
use super::index::Index;
use super::limits::Options;
use super::refusal::{Refusal, Result};
use super::texts::Texts;
use super::work::Work;

/// Schemas applied to one value through each other (`$ref`, `allOf`, …); guards the stack.
const IN_PLACE_MAX: usize = 120;

/// Work that it is to look whether a constant is in a form.
const STEPS_OF_A_CONSTANT: usize = 16;

/// Keywords that say nothing about validity beside a constant or a reference.
const ANNOTATIONS: &[&str] = &[
    "title",
    "description",
    "default",
    "examples",
    "example",
    "$comment",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// Everything that one compilation knows.
#[derive(Debug)]
pub struct Lowering<'d> {
    /// The schema's text.
    pub document: &'d Document<'d>,
    /// Where its references lead.
    pub index: &'d Index,
    /// The bounds.
    pub options: &'d Options,
    /// What it may do in all.
    pub work: Rc<Work>,
    /// Sets of strings.
    pub texts: Texts,
    /// Schema expressions.
    pub expressions: Expressions,
    /// Whether some keyword asks which properties or items others looked at.
    pub tracks_evaluation: bool,
    /// Words of the schema that were taken as annotations, such as unknown formats.
    pub annotations: Vec<(String, String)>,
    forms: Map<ExprId, Rc<Form>>,
    parts: Vec<Form>,
    busy: Vec<ExprId>,
    emptiness: Map<(ExprId, u32), bool>,
    scopes: Vec<Rc<[NodeId]>>,
    constants: Map<String, NodeId>,
    /// Constants that others allow, by the expression of both.
    kept: Map<ExprId, ExprId>,
    alternatives: usize,
}

/// Whether all keywords but these say nothing about validity.
fn says_no_more(members: &[Member<'_>], is_known: impl Fn(&str) -> bool) -> bool {
    let mut names = members.iter().map(|member| &*member.0);
    names.all(|name| is_known(name) || ANNOTATIONS.contains(&name))
}

impl<'d> Lowering<'d> {
    /// A compilation that has not begun.
    pub fn new(document: &'d Document<'d>, index: &'d Index, options: &'d Options) -> Self {
        let names = |id| document.members(id).iter().map(|member| &*member.0);
        let tracks = (0..).take(document.len()).any(|id| {
            names(id).any(|name| name == "unevaluatedProperties" || name == "unevaluatedItems")
        });
        let work = Rc::new(Work::new(options.states_max, options.steps_max));
        Self {
            document,
            index,
            options,
            texts: Texts::new(Rc::clone(&work)),
            expressions: Expressions::new(Rc::clone(&work)),
            work,
            tracks_evaluation: tracks || options.closed_objects,
            annotations: Vec::new(),
            forms: Map::default(),
            parts: Vec::new(),
            busy: Vec::new(),
            emptiness: Map::default(),
            scopes: vec![Rc::from([])],
            constants: Map::default(),
            kept: Map::default(),
            alternatives: 0,
        }
    }

    /// The expression of the schema at a node, as seen from a scope.
    ///
    /// # Errors
    /// Invalid where the node is no schema, or a reference leads nowhere.
    pub fn schema(&mut self, node: NodeId, scope: u32) -> Result<ExprId> {
        let mut node = node;
        let mut scope = scope;
        // A schema that is only a reference is its target; chains end after a few steps.
        for _ in 0..32 {
            let members = match self.document.node(node) {
                Node::Bool(true) => return Ok(ANY),
                Node::Bool(false) => return Ok(NOTHING),
                Node::Object(members) => members,
                _ => {
                    let fault = Refusal::invalid("", "a schema is an object or a boolean");
                    return Err(fault.at(&self.document.pointer(node)));
                }
            };
            if members.is_empty() {
                return Ok(ANY);
            }
            if let Some(reference) = self.only_reference(node, members) {
                scope = self.entered(node, scope);
                node = self
                    .index
                    .target(self.document, node, reference)
                    .map_err(|fault| fault.at(&self.document.pointer(node)))?;
                continue;
            }
            let says = |name: &str| members.iter().any(|member| &*member.0 == name);
            let is_constant = |name: &str| matches!(name, "const" | "enum" | "type");
            if (says("enum") || says("const")) && says_no_more(members, is_constant) {
                let kept = self.constants_of(node)?;
                return Ok(self.expressions.values(kept));
            }
            break;
        }
        let scope = self.entered(node, scope);
        Ok(self.expressions.schema(node, scope))
    }

    /// The reference of a schema that says nothing of its own.
    fn only_reference(&self, node: NodeId, members: &[Member<'_>]) -> Option<&'d str> {
        let (_, target) = members.iter().find(|member| &*member.0 == "$ref")?;
        let is_alone = says_no_more(members, |name| name == "$ref")
            || self
                .index
                .draft_of(self.document, node)
                .ref_hides_siblings();
        self.document.string(*target).filter(|_| is_alone)
    }

    /// The scope within the resource of a node.
    pub fn entered(&mut self, node: NodeId, scope: u32) -> u32 {
        if !self.index.is_dynamic() {
            return 0;
        }
        let resource = self.index.resource_of(self.document, node);
        let outer = Rc::clone(&self.scopes[scope as usize]);
        if outer.contains(&resource) {
            return scope;
        }
        let inner: Rc<[NodeId]> = outer.iter().copied().chain([resource]).collect();
        let known = self.scopes.iter().position(|one| *one == inner);
        let place = known.unwrap_or_else(|| {
            self.scopes.push(inner);
            self.scopes.len() - 1
        });
        u32::try_from(place).unwrap_or(0)
    }

    /// The resources of a scope, outermost first.
    pub fn scope(&self, scope: u32) -> Rc<[NodeId]> {
        Rc::clone(&self.scopes[scope as usize])
    }

    /// The form of an expression.
    ///
    /// # Errors
    /// What cannot be said exactly, with its place.
    pub fn form(&mut self, expr: ExprId) -> Result<Rc<Form>> {
        if let Some(form) = self.forms.get(&expr) {
            return Ok(Rc::clone(form));
        }
        if self.busy.contains(&expr) {
            let mut fault = Refusal::unsupported("$ref", "the schema refers to itself in place");
            if let Expr::Schema(node, _) = self.expressions.get(expr) {
                fault = fault.at(&self.document.pointer(*node));
            }
            return Err(fault.hint("put something between: a property or an item"));
        }
        if self.busy.len() >= IN_PLACE_MAX {
            return Err(Refusal::too_large("in_place_max", IN_PLACE_MAX));
        }
        self.work.check()?;
        self.busy.push(expr);
        let made = self.made_form(expr);
        self.busy.pop();
        let made = Rc::new(made?);
        self.forms.insert(expr, Rc::clone(&made));
        Ok(made)
    }

    fn made_form(&mut self, expr: ExprId) -> Result<Form> {
        match self.expressions.get(expr).clone() {
            Expr::Any => Ok(Form::any()),
            Expr::Nothing => Ok(Form::nothing()),
            Expr::Schema(node, scope) => self
                .schema_form(node, scope)
                .map_err(|fault| fault.at(&self.document.pointer(node))),
            Expr::Values(nodes) => Ok(self.values_form(&nodes)),
            Expr::Part(number) => Ok(self.parts[number as usize].clone()),
            Expr::Beside(inner, _) => Ok((*self.form(inner)?).clone()),
            Expr::Not(inner) => {
                let inner = self.form(inner)?;
                self.complement(&inner)
            }
            Expr::And(parts) => {
                let first = self.form(parts[0])?;
                parts[1..].iter().try_fold((*first).clone(), |all, &part| {
                    let part = self.form(part)?;
                    self.intersection(&all, &part)
                })
            }
            Expr::Or(parts) => {
                let mut all = Form::nothing();
                for &part in parts.iter() {
                    let part = self.form(part)?;
                    all = self.union(all, &part);
                }
                Ok(all)
            }
        }
    }

    /// The expression of a finished form.
    pub fn part(&mut self, form: Form) -> ExprId {
        let number = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        self.parts.push(form);
        self.expressions.part(number)
    }

    /// Whether an expression's form is being made just now.
    pub fn is_busy(&self, expr: ExprId) -> bool {
        self.busy.contains(&expr)
    }

    /// In both; constants are tried against the other side at once.
    pub fn both(&mut self, left: ExprId, right: ExprId) -> ExprId {
        let plain = self.expressions.and(left, right);
        if plain == left || plain == right || plain == NOTHING {
            return plain;
        }
        if let Some(&known) = self.kept.get(&plain) {
            return known;
        }
        for (constants, other) in [(left, right), (right, left)] {
            if let Expr::Values(nodes) = self.expressions.get(constants).clone()
                && let Some(kept) = self.kept_constants(&nodes, other)
            {
                let kept = self.expressions.values(kept);
                self.kept.insert(plain, kept);
                return kept;
            }
        }
        plain
    }

    /// The constants that an expression allows, if that can be known now.
    fn kept_constants(&mut self, nodes: &[NodeId], other: ExprId) -> Option<Vec<NodeId>> {
        if let Expr::Values(others) = self.expressions.get(other) {
            let inside = |node: &NodeId| others.binary_search(node).is_ok();
            return Some(nodes.iter().copied().filter(inside).collect());
        }
        if self.is_busy(other) {
            return None;
        }
        let form = self
            .form(other)
            .ok()
            .filter(|form| !self.texts.is_partial(form.strings))?;
        self.work.count(STEPS_OF_A_CONSTANT * nodes.len());
        let mut kept = Vec::with_capacity(nodes.len());
        for &node in nodes {
            if self.form_contains(&form, node)? {
                kept.push(node);
            }
        }
        Some(kept)
    }

    /// Whether it is certain that nothing is in an expression, looking `depth` levels down.
    pub fn is_empty(&mut self, expr: ExprId, depth: u32) -> bool {
        match self.expressions.get(expr) {
            Expr::Any | Expr::Values(_) => return false,
            Expr::Nothing => return true,
            _ => {}
        }
        if depth == 0 || self.is_busy(expr) {
            return false;
        }
        if let Some(&known) = self.emptiness.get(&(expr, depth)) {
            return known;
        }
        let Ok(form) = self.form(expr) else {
            return false;
        };
        let empty = !form.null
            && form.bools == 0
            && form.numbers.is_empty()
            && form.arrays.iter().all(|shape| {
                (0..shape.min.min(16) as usize).any(|i| self.is_empty(shape.item(i), depth - 1))
            })
            && form.objects.iter().all(|shape| {
                shape.required.iter().any(|name| {
                    shape
                        .property(name)
                        .is_some_and(|value| self.is_empty(value, depth - 1))
                })
            })
            && self.texts.is_empty(form.strings);
        self.emptiness.insert((expr, depth), empty);
        empty
    }

    /// The one node that stands for all constants equal to this one.
    pub fn canonical(&mut self, node: NodeId) -> NodeId {
        let text = super::values::canonical_text(self.document, node);
        *self.constants.entry(text).or_insert(node)
    }

    /// Counts work on shapes.
    ///
    /// # Errors
    /// Too large past the limit.
    pub fn spend(&mut self, shapes: usize) -> Result<()> {
        self.work.check()?;
        self.alternatives += shapes;
        if self.alternatives > self.options.alternatives_max {
            return Err(Refusal::too_large(
                "alternatives_max",
                self.options.alternatives_max,
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Lowering;
    use crate::grammar::document::Document;
    use crate::grammar::index::Index;
    use crate::grammar::limits::Options;

    /// Whether a reference with these members is nothing but its target.
    fn is_target(draft: &str, beside: &str) -> bool {
        let schema = format!(
            r##"{{"$schema": "http://json-schema.org/{draft}/schema#",
                "not": {{"$ref": "#/definitions/x"{beside}}},
                "definitions": {{"x": {{"minimum": 3}}}}}}"##
        );
        let options = Options::default();
        let document = Document::parse(schema.as_bytes(), &options).unwrap();
        let index = Index::of(&document);
        let mut lowering = Lowering::new(&document, &index, &options);
        let target = document.get(document.get(0, "definitions").unwrap(), "x");
        let reference = document.get(0, "not").unwrap();
        lowering.schema(reference, 0) == lowering.schema(target.unwrap(), 0)
    }

    #[test]
    fn a_reference_that_says_nothing_of_its_own_is_its_target() {
        for draft in ["draft-07", "draft/2020-12"] {
            assert!(is_target(draft, ""));
            assert!(is_target(draft, r#", "description": "y", "default": 4"#));
        }
        let limit = r#", "maximum": 5"#;
        assert!(is_target("draft-07", limit) && !is_target("draft/2020-12", limit));
    }
}
