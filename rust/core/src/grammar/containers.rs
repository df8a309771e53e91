//! The keywords of objects and arrays, as one shape each.

use std::rc::Rc;

use super::document::{Member, Node, NodeId};
use super::draft::Draft;
use super::form::{ANY, ArrayShape, NOTHING, ObjectShape, Tally};
use super::keywords::Place;
use super::lowering::Lowering;
use super::refusal::{Refusal, Result};
use super::texts;

impl<'d> Lowering<'d> {
    /// What the keywords of a schema say of objects; none where no object fits.
    pub(super) fn own_object(&mut self, place: &Place) -> Result<Option<ObjectShape>> {
        let mut shape = ObjectShape::default();
        let has = |keyword: &str| self.document.get(place.node, keyword).is_some();
        let (declares, patterns) = (has("properties"), has("patternProperties"));
        let speaks_of_others = has("additionalProperties");
        for (name, value) in self.map_of(place, "properties")? {
            let expr = self.schema(*value, place.scope)?;
            shape.properties.push((Rc::from(&**name), expr));
        }
        if !shape.properties.is_empty() {
            let names = shape.properties.iter();
            shape.order = names.map(|one| Rc::clone(&one.0)).collect();
        }
        let mut matched = Vec::new();
        if patterns {
            for (pattern, value) in self.map_of(place, "patternProperties")? {
                let names = self.pattern(pattern, "patternProperties")?;
                let expr = self.schema(*value, place.scope)?;
                shape.rules.push((names, expr));
                matched.push(names);
            }
        }
        if speaks_of_others || self.tracks_evaluation {
            self.own_other_names(place, &mut shape, &matched)?;
            shape.declares = declares && !speaks_of_others;
        }
        if let Some(value) = self.document.get(place.node, "propertyNames")
            && place.draft > Draft::Draft4
        {
            self.own_names(place, value, &mut shape)?;
        }
        shape.required = self.own_required(place)?;
        shape.min = self.count(place, "minProperties")?.unwrap_or(0);
        shape.max = self.count(place, "maxProperties")?;
        Ok(self.tidy_object(shape))
    }

    fn own_other_names(
        &mut self,
        place: &Place,
        shape: &mut ObjectShape,
        matched: &[u32],
    ) -> Result<()> {
        let declared = shape
            .properties
            .iter()
            .map(|one| Rc::clone(&one.0))
            .collect();
        let mut others = self.texts.all_but(declared);
        for &names in matched {
            // Each is one part more of a set that is looked through for the next.
            self.work.check()?;
            let outside = self.texts.not(names);
            others = self.texts.and(others, outside);
        }
        shape.evaluated = self.texts.not(others);
        if let Some(value) = self.document.get(place.node, "additionalProperties") {
            let expr = self.schema(value, place.scope)?;
            shape.rules.push((others, expr));
            shape.evaluated = texts::ALL;
        }
        Ok(())
    }

    fn own_names(&mut self, place: &Place, value: NodeId, shape: &mut ObjectShape) -> Result<()> {
        let expr = self.schema(value, place.scope)?;
        if expr == ANY {
            return Ok(());
        }
        if expr == NOTHING {
            shape.rules.push((texts::ALL, NOTHING));
            return Ok(());
        }
        let names = self.form(expr)?.strings;
        let refused = self.texts.not(names);
        shape.rules.push((refused, NOTHING));
        Ok(())
    }

    fn own_required(&self, place: &Place) -> Result<Vec<Rc<str>>> {
        let Some(value) = self.document.get(place.node, "required") else {
            return Ok(Vec::new());
        };
        let fault = || {
            Refusal::invalid("required", "it must be an array of names")
                .hint("write \"required\": [\"name\", …] in the object that has the property")
        };
        let Node::Array(items) = self.document.node(value) else {
            return Err(fault());
        };
        let mut names: Vec<Rc<str>> = Vec::with_capacity(items.len());
        for &item in items {
            let name = self.document.string(item).ok_or_else(fault)?;
            if !names.iter().any(|one| &**one == name) {
                names.push(name.into());
            }
        }
        Ok(names)
    }

    /// The members of a keyword that maps names to schemas.
    pub(super) fn map_of(&self, place: &Place, keyword: &str) -> Result<&'d [Member<'d>]> {
        match self
            .document
            .get(place.node, keyword)
            .map(|value| self.document.node(value))
        {
            None => Ok(&[]),
            Some(Node::Object(members)) => Ok(members),
            Some(_) => Err(Refusal::invalid(keyword, "it must be an object")),
        }
    }

    /// What the keywords of a schema say of arrays; none where no array fits.
    pub(super) fn own_array(&mut self, place: &Place) -> Result<Option<ArrayShape>> {
        let mut shape = ArrayShape::default();
        let (list, rest) = self.items_keywords(place);
        if let Some(list) = list {
            let Node::Array(items) = self.document.node(list) else {
                return Err(Refusal::invalid("prefixItems", "it must be an array"));
            };
            for &item in items {
                let expr = self.schema(item, place.scope)?;
                shape.prefix.push(expr);
            }
            shape.evaluated = u32::try_from(shape.prefix.len()).unwrap_or(u32::MAX);
        }
        if let Some(rest) = rest {
            shape.rest = self.schema(rest, place.scope)?;
            shape.evaluated = u32::MAX;
        }
        shape.min = self.count(place, "minItems")?.unwrap_or(0);
        shape.max = self.count(place, "maxItems")?;
        shape.unique = self.flag(place, "uniqueItems")?;
        if let Some(value) = self.document.get(place.node, "contains")
            && place.draft > Draft::Draft4
        {
            let expr = self.schema(value, place.scope)?;
            let (mut min, mut max) = (1, None);
            if place.draft >= Draft::Draft2019 {
                min = self.count(place, "minContains")?.unwrap_or(1);
                max = self.count(place, "maxContains")?;
            }
            shape.tallies.push(Tally {
                from: 0,
                expr,
                min,
                max,
            });
            if place.draft >= Draft::Draft2020 {
                shape.evaluated_fits.push(expr);
            }
        }
        if !self.tracks_evaluation {
            shape.evaluated = 0;
            shape.evaluated_fits.clear();
        }
        Ok(self.tidy_array(shape))
    }

    /// The keyword for the first items and the one for the others, by draft.
    fn items_keywords(&self, place: &Place) -> (Option<NodeId>, Option<NodeId>) {
        let get = |keyword: &str| self.document.get(place.node, keyword);
        let items = get("items");
        let is_list =
            items.is_some_and(|items| matches!(self.document.node(items), Node::Array(_)));
        match (place.draft >= Draft::Draft2020, is_list) {
            // A list under `items` is of older drafts; no other meaning is possible for it.
            (true, true) if get("prefixItems").is_none() => (items, get("additionalItems")),
            (true, _) => (get("prefixItems"), items),
            (false, true) => (items, get("additionalItems")),
            (false, false) => (None, items),
        }
    }
}
