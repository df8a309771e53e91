//! The objects among the items of an array with `uniqueItems`, in groups that share no object.
//!
//! One property tells them apart: by its constant where it has one, else by the class of its value.

use std::rc::Rc;

use super::emission::Emission;
use super::form::{Form, NOTHING, ObjectShape};
use super::item_kinds::Kinds;
use super::refusal::Result;
use super::text_classes::{CLASSES, Feature};
use super::texts::{TextSet, TextsId};

/// Names of objects that are written once for each class.
const CLASSED_NAMES_MAX: usize = 40;
/// The same of a whole grammar, for all features together.
const CLASSED_NAMES_TOTAL: usize = 120;

impl Emission<'_, '_> {
    /// Groups of shapes such that no object is of two groups.
    pub(super) fn object_kinds(
        &mut self,
        shapes: &[Rc<ObjectShape>],
        feature: Feature,
        kinds: &mut Kinds,
    ) -> Result<Vec<Vec<Rc<ObjectShape>>>> {
        let names: usize = shapes.iter().map(|shape| 1 + shape.properties.len()).sum();
        if names <= CLASSED_NAMES_MAX
            && self.classed_names + names <= CLASSED_NAMES_TOTAL
            && let Some(name) = self.telling_name(shapes)?
            && let Some(groups) = self.classed_objects(shapes, &name, feature)?
        {
            kinds.by_feature = true;
            self.classed_names += names;
            return Ok(groups);
        }
        Ok(vec![shapes.to_vec()])
    }

    /// A name whose values tell objects apart: required if possible, with open strings if possible.
    fn telling_name(&mut self, shapes: &[Rc<ObjectShape>]) -> Result<Option<Rc<str>>> {
        let Some(first) = shapes.first() else {
            return Ok(None);
        };
        let mut best: Option<((bool, bool), Rc<str>)> = None;
        for (name, _) in &first.properties {
            let mut rank = (true, true);
            for shape in shapes {
                let Some(value) = shape.property(name) else {
                    rank = (false, false);
                    continue;
                };
                if value == NOTHING || self.lowering.is_busy(value) {
                    rank = (false, false);
                    continue;
                }
                let form = self.lowering.form(value)?;
                let is_open = !matches!(
                    self.lowering.texts.get(form.strings),
                    TextSet::Finite(all) if all.len() < 2
                );
                rank = (rank.0 && shape.requires(name), rank.1 && is_open);
            }
            if best.as_ref().is_none_or(|best| rank > best.0) {
                best = Some((rank, Rc::clone(name)));
            }
        }
        Ok(best.map(|best| best.1))
    }

    fn classed_objects(
        &mut self,
        shapes: &[Rc<ObjectShape>],
        name: &Rc<str>,
        feature: Feature,
    ) -> Result<Option<Vec<Vec<Rc<ObjectShape>>>>> {
        if let Some(groups) = self.objects_by_constant(shapes, name)? {
            return Ok(Some(groups));
        }
        // The last group is of the objects without the property.
        let mut groups = vec![Vec::new(); usize::from(CLASSES) + 1];
        for shape in shapes {
            let at = shape.properties.iter().position(|one| one.0 == *name);
            let mut shape = (**shape).clone();
            let at = match at {
                Some(at) => at,
                // Undeclared: whatever its rules allow, they stay with the group without it.
                None if shape.requires(name) => return Ok(None),
                None => {
                    shape.properties.push((Rc::clone(name), NOTHING));
                    groups[usize::from(CLASSES)].push(Rc::new(shape));
                    continue;
                }
            };
            let form = self.lowering.form(shape.properties[at].1)?;
            let Some(parts) = self.form_classes(&form, feature)? else {
                return Ok(None);
            };
            if !shape.requires(name) {
                let mut without = shape.clone();
                without.properties[at].1 = NOTHING;
                groups[usize::from(CLASSES)].push(Rc::new(without));
                shape.required.push(Rc::clone(name));
            }
            for (group, part) in groups.iter_mut().zip(parts) {
                if !part.is_nothing() {
                    shape.properties[at].1 = self.lowering.part(part);
                    group.push(Rc::new(shape.clone()));
                }
            }
        }
        groups.retain(|group| !group.is_empty());
        Ok(Some(groups))
    }

    /// A group for each constant of a property that tells variants apart.
    fn objects_by_constant(
        &mut self,
        shapes: &[Rc<ObjectShape>],
        name: &Rc<str>,
    ) -> Result<Option<Vec<Vec<Rc<ObjectShape>>>>> {
        let mut groups: Vec<(TextsId, Vec<Rc<ObjectShape>>)> = Vec::new();
        for shape in shapes {
            let Some(value) = shape.property(name).filter(|_| shape.requires(name)) else {
                return Ok(None);
            };
            let form = self.lowering.form(value)?;
            let only_strings = Form {
                strings: form.strings,
                ..Form::nothing()
            };
            let is_constant = match self.lowering.texts.get(form.strings) {
                TextSet::Finite(all) => all.len() == 1,
                _ => false,
            };
            if !is_constant || *form != only_strings {
                return Ok(None);
            }
            match groups.iter_mut().find(|group| group.0 == form.strings) {
                Some(group) => group.1.push(Rc::clone(shape)),
                None => groups.push((form.strings, vec![Rc::clone(shape)])),
            }
        }
        Ok(Some(groups.into_iter().map(|group| group.1).collect()))
    }
}
