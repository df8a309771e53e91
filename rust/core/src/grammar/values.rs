//! Constants: `enum` and `const` as forms, and whether a form contains a constant.

use std::rc::Rc;

use super::document::{Document, Member, Node, NodeId};
use super::draft::Draft;
use super::form::{ArrayShape, Form, NOTHING, ObjectShape};
use super::lowering::Lowering;
use super::numbers::Cell;
use super::refusal::{Refusal, Result};
use super::texts;

/// A text that is the same for equal constants: numbers by value, keys sorted.
pub fn canonical_text(document: &Document, node: NodeId) -> String {
    match document.node(node) {
        Node::Null => "null".to_owned(),
        Node::Bool(value) => value.to_string(),
        Node::Number(number) => number.text(),
        Node::String(text) => format!("{text:?}"),
        Node::Array(items) => {
            let parts: Vec<String> = items
                .iter()
                .map(|&item| canonical_text(document, item))
                .collect();
            format!("[{}]", parts.join(","))
        }
        Node::Object(members) => {
            let mut parts: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{name:?}:{}", canonical_text(document, *value)))
                .collect();
            parts.sort_unstable();
            format!("{{{}}}", parts.join(","))
        }
    }
}

impl Lowering<'_> {
    /// The constants that `enum`, `const` and `type` of one schema leave.
    pub(super) fn constants_of(&mut self, node: NodeId) -> Result<Vec<NodeId>> {
        let draft = self.index.draft_of(self.document, node);
        let mut kept: Option<Vec<NodeId>> = None;
        let place = |fault: Refusal, lowering: &Self| fault.at(&lowering.document.pointer(node));
        if let Some(list) = self.document.get(node, "enum") {
            let Node::Array(items) = self.document.node(list) else {
                return Err(place(Refusal::invalid("enum", "it must be an array"), self));
            };
            kept = Some(items.iter().map(|&item| self.canonical(item)).collect());
        }
        if let Some(constant) = self
            .document
            .get(node, "const")
            .filter(|_| draft > Draft::Draft4)
        {
            let constant = self.canonical(constant);
            kept = Some(match kept {
                Some(list) => list.into_iter().filter(|&one| one == constant).collect(),
                None => vec![constant],
            });
        }
        let Some(mut kept) = kept else {
            return Ok(Vec::new());
        };
        if let Some(types) = self.types_of(node).map_err(|fault| place(fault, self))? {
            kept.retain(|&one| match self.document.node(one) {
                Node::Null => types.null,
                Node::Bool(_) => types.boolean,
                Node::Number(number) => types.number || types.integer && number.is_integer(),
                Node::String(_) => types.string,
                Node::Array(_) => types.array,
                Node::Object(_) => types.object,
            });
        }
        Ok(kept)
    }

    /// The form of a few constants.
    pub(super) fn values_form(&mut self, nodes: &[NodeId]) -> Form {
        let mut form = Form::nothing();
        let mut strings: Vec<Rc<str>> = Vec::new();
        for &node in nodes {
            match self.document.node(node) {
                Node::Null => form.null = true,
                Node::Bool(value) => form.bools |= 1 << u8::from(*value),
                Node::Number(number) => form.numbers.0.push(Cell::point(number)),
                Node::String(text) => strings.push(Rc::from(&**text)),
                Node::Array(items) => {
                    let shape = self.constant_array(items);
                    form.arrays.push(Rc::new(shape));
                }
                Node::Object(members) => {
                    let shape = self.constant_object(members);
                    form.objects.push(Rc::new(shape));
                }
            }
        }
        form.strings = self.texts.finite(strings);
        form
    }

    fn constant_array(&mut self, items: &[NodeId]) -> ArrayShape {
        let mut constant = |item: NodeId| {
            let item = self.canonical(item);
            self.expressions.values(vec![item])
        };
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        ArrayShape {
            prefix: items.iter().map(|&item| constant(item)).collect(),
            rest: NOTHING,
            min: count,
            max: Some(count),
            ..ArrayShape::default()
        }
    }

    fn constant_object(&mut self, members: &[Member<'_>]) -> ObjectShape {
        let names: Vec<Rc<str>> = members.iter().map(|member| Rc::from(&*member.0)).collect();
        let mut properties = Vec::with_capacity(members.len());
        for (name, (_, value)) in names.iter().zip(members) {
            let value = self.canonical(*value);
            properties.push((Rc::clone(name), self.expressions.values(vec![value])));
        }
        let others = self.texts.all_but(names.clone());
        ObjectShape {
            order: names.clone().into(),
            properties,
            rules: vec![(others, NOTHING)],
            required: names,
            evaluated: texts::NONE,
            ..ObjectShape::default()
        }
    }

    /// Whether a constant is in a form; none where that is not known.
    pub(super) fn form_contains(&mut self, form: &Form, node: NodeId) -> Option<bool> {
        match self.document.node(node) {
            Node::Null => Some(form.null),
            Node::Bool(value) => Some(form.bools & (1 << u8::from(*value)) != 0),
            Node::Number(number) => Some(form.numbers.contains(number)),
            Node::String(text) => Some(self.texts.contains(form.strings, text)),
            Node::Array(items) => {
                let items = items.clone();
                self.any_shape(&form.arrays, |this, shape| {
                    this.array_contains(shape, &items)
                })
            }
            Node::Object(members) => {
                let members = members.clone();
                self.any_shape(&form.objects, |this, shape| {
                    this.object_contains(shape, &members)
                })
            }
        }
    }

    fn any_shape<S>(
        &mut self,
        shapes: &[Rc<S>],
        fits: impl Fn(&mut Self, &S) -> Option<bool>,
    ) -> Option<bool> {
        for shape in shapes {
            if fits(self, shape)? {
                return Some(true);
            }
        }
        Some(false)
    }

    fn expr_contains(&mut self, expr: u32, node: NodeId) -> Option<bool> {
        if self.is_busy(expr) {
            return None;
        }
        let form = self.form(expr).ok()?;
        self.form_contains(&form, node)
    }

    fn array_contains(&mut self, shape: &ArrayShape, items: &[NodeId]) -> Option<bool> {
        let count = u32::try_from(items.len()).ok()?;
        if count < shape.min || shape.max.is_some_and(|max| count > max) {
            return Some(false);
        }
        for (index, &item) in items.iter().enumerate() {
            if !self.expr_contains(shape.item(index), item)? {
                return Some(false);
            }
        }
        for tally in &shape.tallies {
            let mut fitting = 0;
            for &item in items.iter().skip(tally.from as usize) {
                fitting += u32::from(self.expr_contains(tally.expr, item)?);
            }
            if fitting < tally.min || tally.max.is_some_and(|max| fitting > max) {
                return Some(false);
            }
        }
        let repeated = shape.unique
            && (1..items.len()).any(|at| {
                items[..at]
                    .iter()
                    .any(|&one| self.document.equal(one, items[at]))
            });
        Some(!repeated)
    }

    fn object_contains(&mut self, shape: &ObjectShape, members: &[Member<'_>]) -> Option<bool> {
        let count = u32::try_from(members.len()).ok()?;
        let missing = |name: &Rc<str>| !members.iter().any(|member| *member.0 == **name);
        if count < shape.min
            || shape.max.is_some_and(|max| count > max)
            || shape.required.iter().any(missing)
        {
            return Some(false);
        }
        for (name, value) in members {
            let mut wanted: Vec<u32> = shape.property(name).into_iter().collect();
            let rules = shape
                .rules
                .iter()
                .filter(|rule| self.texts.contains(rule.0, name));
            wanted.extend(rules.map(|rule| rule.1));
            for expr in wanted {
                if !self.expr_contains(expr, *value)? {
                    return Some(false);
                }
            }
        }
        for &(names, expr) in &shape.exists {
            let mut found = false;
            for (name, value) in members {
                found |= self.texts.contains(names, name) && self.expr_contains(expr, *value)?;
            }
            if !found {
                return Some(false);
            }
        }
        Some(true)
    }
}
