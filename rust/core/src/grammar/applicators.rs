//! Keywords that apply schemas to the same value: references, `allOf` … `not`, conditions,
//! dependencies, and the `unevaluated…` keywords that watch them.

use std::rc::Rc;

use super::document::{Member, Node, NodeId};
use super::draft::Draft;
use super::form::{ANY, Expr, ExprId, Form, NOTHING, ObjectShape};
use super::hash::Map;
use super::keywords::Place;
use super::lowering::Lowering;
use super::refusal::{Refusal, Result};
use super::texts;
use super::union_orders::align;

/// Pairs of branches to tell apart, and cells of numbers to unite, that cost as much as a shape.
const PAIRS_OF_A_SHAPE: usize = 32;
const CELLS_OF_A_SHAPE: usize = 64;
/// Branches of an `anyOf` of which all combinations are made where annotations matter.
const COMBINED_MAX: usize = 4;

impl Lowering<'_> {
    /// A form and what the references of a schema add to it.
    pub(super) fn references(&mut self, place: &Place, form: Form) -> Result<Form> {
        let mut form = form;
        let text = |keyword: &str| {
            let value = self.document.get(place.node, keyword)?;
            Some(
                self.document
                    .string(value)
                    .ok_or_else(|| Refusal::invalid(keyword, "it must be a string")),
            )
        };
        let mut targets = Vec::new();
        if let Some(reference) = text("$ref") {
            targets.push(self.index.target(self.document, place.node, reference?)?);
        }
        if place.draft == Draft::Draft2020
            && let Some(reference) = text("$dynamicRef")
        {
            let scope = self.scope(place.scope);
            let target =
                self.index
                    .dynamic_target(self.document, place.node, reference?, &scope)?;
            targets.push(target);
        }
        if place.draft == Draft::Draft2019 && text("$recursiveRef").is_some() {
            let scope = self.scope(place.scope);
            targets.push(
                self.index
                    .recursive_target(self.document, place.node, &scope),
            );
        }
        for target in targets {
            let expr = self.schema(target, place.scope)?;
            let other = self.form(expr)?;
            form = self.intersection(&form, &other)?;
        }
        Ok(form)
    }

    /// A form and what the applicators of a schema add to it.
    pub(super) fn applied(&mut self, place: &Place, form: Form) -> Result<Form> {
        let mut form = form;
        for expr in self.list_of(place, "allOf")?.unwrap_or_default() {
            let other = self.form(expr)?;
            form = self.intersection(&form, &other)?;
        }
        if let Some(branches) = self.list_of(place, "anyOf")? {
            let any = self.any_of(&branches)?;
            form = self.intersection(&form, &any)?;
        }
        if let Some(branches) = self.list_of(place, "oneOf")? {
            form = self.one_of(&form, &branches)?;
        }
        if let Some(value) = self.document.get(place.node, "not") {
            let expr = self.schema(value, place.scope)?;
            let negated = self.expressions.not(expr);
            let other = self.form(negated)?;
            form = self.intersection(&form, &other)?;
        }
        if place.draft >= Draft::Draft7 {
            form = self.condition(place, form)?;
        }
        self.dependencies(place, form)
    }

    fn list_of(&mut self, place: &Place, keyword: &str) -> Result<Option<Vec<ExprId>>> {
        let Some(value) = self.document.get(place.node, keyword) else {
            return Ok(None);
        };
        let Node::Array(items) = self.document.node(value) else {
            return Err(Refusal::invalid(keyword, "it must be an array of schemas"));
        };
        items
            .clone()
            .into_iter()
            .map(|item| self.schema(item, place.scope))
            .collect::<Result<_>>()
            .map(Some)
    }

    fn any_of(&mut self, branches: &[ExprId]) -> Result<Form> {
        if let Some(all) = self.constants_among(branches) {
            let all: Vec<NodeId> = all.into_iter().map(|one| one.0).collect();
            return Ok(self.values_form(&all));
        }
        let mut forms = Vec::with_capacity(branches.len());
        for &branch in branches {
            forms.push((*self.form(branch)?).clone());
        }
        align(&mut forms, &self.work);
        let mut all = Form::nothing();
        if self.tracks_evaluation && forms.len() <= COMBINED_MAX {
            // Where two branches hold, what both looked at counts.
            for chosen in (1_u32..1 << forms.len()).rev() {
                let mut both = Form::any();
                let picked = forms
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| chosen & (1 << i) != 0);
                for (_, form) in picked {
                    both = self.intersection(&both, form)?;
                }
                all = self.union(all, &both);
            }
            return Ok(all);
        }
        for form in &forms {
            self.spend(all.numbers.0.len() / CELLS_OF_A_SHAPE)?;
            all = self.union(all, form);
        }
        all.exact &= !self.tracks_evaluation;
        Ok(all)
    }

    /// The constants of all branches in their order, and in how many they are; none where a branch
    /// has others.
    fn constants_among(&self, branches: &[ExprId]) -> Option<Vec<(NodeId, u32)>> {
        let mut all: Vec<(NodeId, u32)> = Vec::with_capacity(branches.len());
        let mut places: Map<NodeId, usize> = Map::default();
        for &branch in branches {
            let Expr::Values(nodes) = self.expressions.get(branch) else {
                return None;
            };
            for &node in nodes.iter() {
                let place = *places.entry(node).or_insert(all.len());
                if place == all.len() {
                    all.push((node, 0));
                }
                all[place].1 += 1;
            }
        }
        Some(all)
    }

    /// Exactly one branch: each, without those others that it does not exclude anyway.
    fn one_of(&mut self, outer: &Form, branches: &[ExprId]) -> Result<Form> {
        if let Some(all) = self.constants_among(branches) {
            let once = all.into_iter().filter(|&(_, count)| count == 1);
            let once: Vec<NodeId> = once.map(|one| one.0).collect();
            let once = self.values_form(&once);
            return self.intersection(outer, &once);
        }
        let mut forms = Vec::with_capacity(branches.len());
        for &branch in branches {
            let form = self.form(branch)?;
            forms.push(self.intersection(outer, &form)?);
        }
        align(&mut forms, &self.work);
        let count = forms.len();
        self.spend(count * count / 2 / PAIRS_OF_A_SHAPE)?;
        let mut opposites: Vec<Option<Form>> = vec![None; count];
        let mut apart = vec![false; count * count];
        let mut all = Form::nothing();
        for at in 0..count {
            let mut only = forms[at].clone();
            for other in 0..count {
                if other == at || only.is_nothing() {
                    continue;
                }
                if branches[other] == branches[at] {
                    only = Form::nothing();
                    continue;
                }
                if other > at {
                    let both = self.intersection(&forms[at], &forms[other])?;
                    let disjoint = self.is_certainly_empty(&both);
                    apart[at * count + other] = disjoint;
                    apart[other * count + at] = disjoint;
                }
                if apart[at * count + other] {
                    continue;
                }
                if opposites[other].is_none() {
                    let form = self.form(branches[other])?;
                    opposites[other] = Some(self.complement(&form)?);
                }
                if let Some(opposite) = &opposites[other] {
                    only = self.intersection(&only, opposite)?;
                }
            }
            all = self.union(all, &only);
        }
        Ok(all)
    }

    /// Whether nothing is in a form, looking a little into its containers.
    fn is_certainly_empty(&mut self, form: &Form) -> bool {
        !form.null
            && form.bools == 0
            && form.numbers.is_empty()
            && self.texts.is_empty(form.strings)
            && form.objects.iter().all(|shape| {
                let required: Vec<ExprId> = shape
                    .required
                    .iter()
                    .filter_map(|name| shape.property(name))
                    .collect();
                required.into_iter().any(|value| self.is_empty(value, 3))
            })
            && form.arrays.iter().all(|shape| {
                (0..shape.min.min(16) as usize).any(|i| self.is_empty(shape.item(i), 3))
            })
    }

    fn condition(&mut self, place: &Place, form: Form) -> Result<Form> {
        let Some(test) = self.document.get(place.node, "if") else {
            return Ok(form);
        };
        let mut branch = |keyword: &str| match self.document.get(place.node, keyword) {
            Some(value) => self.schema(value, place.scope),
            None => Ok(ANY),
        };
        let (then, otherwise) = (branch("then")?, branch("else")?);
        if then == ANY && otherwise == ANY && !self.tracks_evaluation {
            return Ok(form);
        }
        let test = self.schema(test, place.scope)?;
        let holds = self.form(test)?;
        let fails = self.complement(&holds)?;
        let then = self.form(then)?;
        let otherwise = self.form(otherwise)?;
        let yes = self.intersection(&form, &holds)?;
        let yes = self.intersection(&yes, &then)?;
        let no = self.intersection(&form, &fails)?;
        let no = self.intersection(&no, &otherwise)?;
        let mut both = [yes, no];
        align(&mut both, &self.work);
        let [yes, no] = both;
        Ok(self.union(yes, &no))
    }

    fn dependencies(&mut self, place: &Place, form: Form) -> Result<Form> {
        let mut found: Vec<&Member<'_>> = Vec::new();
        if place.draft >= Draft::Draft2019 {
            found.extend(self.map_of(place, "dependentRequired")?);
            found.extend(self.map_of(place, "dependentSchemas")?);
        }
        // Later drafts kept the old keyword's meaning for those who still write it.
        found.extend(self.map_of(place, "dependencies")?);
        let mut form = form;
        for (name, value) in found {
            let name: Rc<str> = Rc::from(&**name);
            let then = match self.document.node(*value) {
                Node::Array(items) => self.requires_all(items)?,
                Node::String(other) if place.draft <= Draft::Draft4 => with_objects(ObjectShape {
                    required: vec![Rc::from(&**other)],
                    ..ObjectShape::default()
                }),
                _ => {
                    let expr = self.schema(*value, place.scope)?;
                    if expr == ANY {
                        continue;
                    }
                    (*self.form(expr)?).clone()
                }
            };
            let absent = ObjectShape {
                properties: vec![(Rc::clone(&name), NOTHING)],
                ..ObjectShape::default()
            };
            let present = ObjectShape {
                required: vec![name],
                ..ObjectShape::default()
            };
            let mut present = with_objects(present);
            present.null = false;
            present.bools = 0;
            present.numbers.0.clear();
            present.strings = texts::NONE;
            present.arrays.clear();
            let absent = self.intersection(&form, &with_objects(absent))?;
            let present = self.intersection(&form, &present)?;
            let present = self.intersection(&present, &then)?;
            form = self.union(absent, &present);
        }
        Ok(form)
    }

    fn requires_all(&self, items: &[NodeId]) -> Result<Form> {
        let names = items
            .iter()
            .map(|&item| self.document.string(item).map(Rc::from));
        let required = names
            .collect::<Option<Vec<Rc<str>>>>()
            .ok_or_else(|| Refusal::invalid("dependentRequired", "it must list names"))?;
        Ok(with_objects(ObjectShape {
            required,
            ..ObjectShape::default()
        }))
    }

    /// A form in which what no keyword looked at is of the `unevaluated…` schemas.
    pub(super) fn unevaluated(&mut self, place: &Place, form: Form) -> Result<Form> {
        let mut form = form;
        if place.draft < Draft::Draft2019 {
            return Ok(form);
        }
        if let Some(value) = self.document.get(place.node, "unevaluatedProperties") {
            let expr = self.schema(value, place.scope)?;
            let mut shapes = Vec::with_capacity(form.objects.len());
            for shape in &form.objects {
                let mut shape = (**shape).clone();
                let others = self.texts.not(shape.evaluated);
                shape.rules.push((others, expr));
                shape.evaluated = texts::ALL;
                shapes.extend(self.tidy_object(shape).map(Rc::new));
            }
            form.objects = shapes;
        }
        if let Some(value) = self.document.get(place.node, "unevaluatedItems") {
            let expr = self.schema(value, place.scope)?;
            let mut shapes = Vec::with_capacity(form.arrays.len());
            for shape in &form.arrays {
                let mut shape = (**shape).clone();
                let mut other = expr;
                for &fits in &shape.evaluated_fits {
                    other = self.expressions.or(other, fits);
                }
                if shape.evaluated != u32::MAX {
                    while shape.prefix.len() < shape.evaluated as usize {
                        shape.prefix.push(shape.rest);
                    }
                    for at in shape.evaluated as usize..shape.prefix.len() {
                        shape.prefix[at] = self.both(shape.prefix[at], other);
                    }
                    shape.rest = self.both(shape.rest, other);
                }
                shape.evaluated = u32::MAX;
                shapes.extend(self.tidy_array(shape).map(Rc::new));
            }
            form.arrays = shapes;
        }
        Ok(form)
    }
}

/// Every value, with objects of one shape only.
fn with_objects(shape: ObjectShape) -> Form {
    Form {
        objects: vec![Rc::new(shape)],
        ..Form::any()
    }
}
