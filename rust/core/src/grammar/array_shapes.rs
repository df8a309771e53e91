//! Array shapes: both of two, and the shapes outside of one.

use std::rc::Rc;

use super::form::{ANY, ArrayShape, NOTHING, Tally};
use super::lowering::Lowering;
use super::object_shapes::least;
use super::refusal::{Refusal, Result};

impl Lowering<'_> {
    /// The arrays of both shapes; none where it is seen that there are none.
    pub(super) fn both_arrays(
        &mut self,
        left: &ArrayShape,
        right: &ArrayShape,
    ) -> Option<ArrayShape> {
        let length = left.prefix.len().max(right.prefix.len());
        let prefix = (0..length)
            .map(|i| self.both(left.item(i), right.item(i)))
            .collect();
        let mut tallies = left.tallies.clone();
        tallies.extend(
            right
                .tallies
                .iter()
                .filter(|one| !left.tallies.contains(one))
                .cloned(),
        );
        let mut fits = left.evaluated_fits.clone();
        fits.extend(
            right
                .evaluated_fits
                .iter()
                .filter(|one| !left.evaluated_fits.contains(one)),
        );
        let both = ArrayShape {
            prefix,
            rest: self.both(left.rest, right.rest),
            min: left.min.max(right.min),
            max: least(left.max, right.max),
            tallies,
            unique: left.unique || right.unique,
            evaluated: left.evaluated.max(right.evaluated),
            evaluated_fits: fits,
        };
        self.tidy_array(both)
    }

    /// The same arrays, with what follows from other parts written out; none if there are none.
    pub(super) fn tidy_array(&mut self, mut shape: ArrayShape) -> Option<ArrayShape> {
        for tally in std::mem::take(&mut shape.tallies) {
            match (tally.expr, tally.max) {
                (_, Some(max)) if max < tally.min => return None,
                (_, None) if tally.min == 0 => {}
                (NOTHING, _) if tally.min > 0 => return None,
                (NOTHING, _) => {}
                (ANY, max) => {
                    if tally.min > 0 {
                        shape.min = shape.min.max(tally.from.saturating_add(tally.min));
                    }
                    shape.max = least(shape.max, max.map(|max| max.saturating_add(tally.from)));
                }
                (expr, Some(0)) => {
                    let other = self.expressions.not(expr);
                    let from = tally.from as usize;
                    while shape.prefix.len() < from {
                        shape.prefix.push(shape.rest);
                    }
                    for at in from..shape.prefix.len() {
                        shape.prefix[at] = self.both(shape.prefix[at], other);
                    }
                    shape.rest = self.both(shape.rest, other);
                }
                _ => shape.tallies.push(tally),
            }
        }
        if let Some(end) = shape.prefix.iter().position(|&item| item == NOTHING) {
            shape.max = least(shape.max, u32::try_from(end).ok());
        } else if shape.rest == NOTHING {
            shape.max = least(shape.max, u32::try_from(shape.prefix.len()).ok());
        }
        if let Some(max) = shape.max {
            shape.prefix.truncate(max as usize);
            if shape.prefix.len() == max as usize {
                shape.rest = NOTHING;
            }
        }
        if shape.max.is_some_and(|max| max < 2) {
            shape.unique = false;
        }
        while shape.prefix.last() == Some(&shape.rest) {
            shape.prefix.pop();
        }
        (shape.max.is_none_or(|max| max >= shape.min)).then_some(shape)
    }

    /// Shapes that together are the arrays outside of one.
    pub(super) fn array_complement(&mut self, shape: &ArrayShape) -> Result<Vec<Rc<ArrayShape>>> {
        if shape.unique {
            return Err(
                Refusal::unsupported("uniqueItems", "it stands in a negated schema")
                    .hint("only `not`, `oneOf`, `if` need its opposite; state it outside of them"),
            );
        }
        let mut outside = outside_of_counts(shape);
        for (at, &item) in shape.prefix.iter().enumerate() {
            if item != ANY {
                let mut prefix = vec![ANY; at];
                prefix.push(self.expressions.not(item));
                let min = u32::try_from(prefix.len()).unwrap_or(u32::MAX);
                outside.push(ArrayShape {
                    prefix,
                    min,
                    ..ArrayShape::default()
                });
            }
        }
        if shape.rest != ANY {
            outside.push(tallied(Tally {
                from: u32::try_from(shape.prefix.len()).unwrap_or(u32::MAX),
                expr: self.expressions.not(shape.rest),
                min: 1,
                max: None,
            }));
        }
        Ok(outside
            .into_iter()
            .filter_map(|one| self.tidy_array(one).map(Rc::new))
            .collect())
    }
}

/// The arrays of too few or too many items, in all or of one kind.
fn outside_of_counts(shape: &ArrayShape) -> Vec<ArrayShape> {
    let mut outside = Vec::new();
    if shape.min > 0 {
        outside.push(ArrayShape {
            max: Some(shape.min - 1),
            ..ArrayShape::default()
        });
    }
    if let Some(max) = shape.max {
        outside.push(ArrayShape {
            min: max.saturating_add(1),
            ..ArrayShape::default()
        });
    }
    for tally in &shape.tallies {
        if tally.min > 0 {
            outside.push(tallied(Tally {
                min: 0,
                max: Some(tally.min - 1),
                ..tally.clone()
            }));
        }
        if let Some(max) = tally.max {
            outside.push(tallied(Tally {
                min: max.saturating_add(1),
                max: None,
                ..tally.clone()
            }));
        }
    }
    outside
}

/// The arrays with so many items of a kind.
fn tallied(tally: Tally) -> ArrayShape {
    ArrayShape {
        tallies: vec![tally],
        ..ArrayShape::default()
    }
}
