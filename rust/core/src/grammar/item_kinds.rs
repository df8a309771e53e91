//! The items of an array with `uniqueItems` by kinds that share no value.
//!
//! Constants are a kind each. Open strings and numbers are told apart by classes of their texts,
//! objects by the class of one of their properties ([`super::object_kinds`]); arrays are one kind.

use std::cell::OnceCell;
use std::rc::Rc;

use super::automaton::Automaton;
use super::decimal::Decimal;
use super::emission::Emission;
use super::escapes::quoted;
use super::form::{Expr, ExprId, Form};
use super::number_reader::texts_of;
use super::numbers::{Cell, Numbers};
use super::refusal::{Refusal, Result};
use super::rules::{Piece, RuleId};
use super::state_rules::Ending;
use super::text_classes::{CLASSES, Feature};
use super::texts::{self, TextSet, TextsId};
use super::work::Work;
use super::{array_rules, object_rules};

/// Kinds at all.
const KINDS_MAX: usize = 2_000;
/// States of all classes of a set together: each may cost an engine a pass over its vocabulary.
const CLASSED_STATES_MAX: usize = 350;
/// Bounds between the classes of numbers, and whether each is of the lower class.
const NUMBER_BOUNDS: [(u64, bool); CLASSES as usize - 1] = [
    (1, false),
    (1, true),
    (2, false),
    (2, true),
    (5, false),
    (50, false),
];

/// Open strings by classes.
#[derive(Debug)]
pub(super) struct TextClasses {
    /// What leads from state `n` into the set of class `n`.
    machine: Automaton,
    /// The classes that have strings, and their rules.
    rules: Vec<(u8, RuleId)>,
    /// The set of each of them, once it was asked for.
    sets: OnceCell<Vec<TextsId>>,
}

/// Alternatives such that no value is in two of them.
pub(super) struct Kinds {
    pub(super) all: Vec<Vec<Piece>>,
    /// Whether another feature would tell other values apart.
    pub(super) by_feature: bool,
}

impl Emission<'_, '_> {
    /// The kinds of items of an expression; none where the feature needs too many states.
    pub(super) fn item_kinds(&mut self, items: ExprId, feature: Feature) -> Result<Option<Kinds>> {
        let form = self.lowering.form(items)?;
        let mut kinds = Kinds {
            all: Vec::new(),
            by_feature: false,
        };
        let words = [(form.null, "null"), (form.bools & 1 != 0, "false")];
        let words = words.into_iter().chain([(form.bools & 2 != 0, "true")]);
        let words = words.filter(|word| word.0);
        kinds
            .all
            .extend(words.map(|word| vec![array_rules::text(word.1)]));
        self.number_kinds(&form, feature, &mut kinds)?;
        if let TextSet::Finite(_) = self.lowering.texts.get(form.strings) {
            let all = self.declared_strings(items, form.strings);
            kinds
                .all
                .extend(all.iter().map(|one| vec![array_rules::text(quoted(one))]));
        } else if form.strings != texts::NONE {
            let Some(classes) = self.string_classes(form.strings, feature)? else {
                return Ok(None);
            };
            kinds.by_feature = true;
            kinds
                .all
                .extend(classes.rules.iter().map(|class| vec![Piece::Rule(class.1)]));
        }
        let mut arrays = Vec::with_capacity(form.arrays.len());
        for shape in &form.arrays {
            arrays.push(vec![Piece::Rule(array_rules::array(self, shape)?)]);
        }
        self.push_kind(arrays, &mut kinds)?;
        for group in self.object_kinds(&form.objects, feature, &mut kinds)? {
            let mut objects = Vec::with_capacity(group.len());
            for shape in &group {
                objects.push(vec![Piece::Rule(object_rules::object(self, shape)?)]);
            }
            self.push_kind(objects, &mut kinds)?;
        }
        if kinds.all.len() > KINDS_MAX {
            return Err(Refusal::too_large("unique_kinds_max", KINDS_MAX));
        }
        Ok(Some(kinds))
    }

    fn push_kind(&mut self, ways: Vec<Vec<Piece>>, kinds: &mut Kinds) -> Result<()> {
        if !ways.is_empty() {
            kinds.all.push(vec![Piece::Rule(self.rules.add(ways)?)]);
        }
        Ok(())
    }

    /// The strings of a finite set, as the schema lists them where it does.
    fn declared_strings(&self, items: ExprId, set: TextsId) -> Vec<Rc<str>> {
        let lowering = &self.lowering;
        let TextSet::Finite(all) = lowering.texts.get(set) else {
            return Vec::new();
        };
        let Expr::Values(nodes) = lowering.expressions.get(items) else {
            return all.to_vec();
        };
        let listed = nodes
            .iter()
            .filter_map(|&node| lowering.document.string(node));
        listed.map(Rc::from).collect()
    }

    fn number_kinds(&mut self, form: &Form, feature: Feature, kinds: &mut Kinds) -> Result<()> {
        let numbers = &form.numbers;
        let mut points: Vec<String> = (numbers.0.iter())
            .filter_map(|cell| Some(cell.single()?.text()))
            .collect();
        if points.len() == numbers.0.len() {
            points.sort_unstable();
            points.dedup();
            kinds.all.extend(
                points
                    .iter()
                    .map(|one| vec![array_rules::text(one.clone())]),
            );
            return Ok(());
        }
        let mut ways: Vec<Vec<Vec<Piece>>> = vec![Vec::new(); usize::from(CLASSES)];
        if let Some(texts) = Self::whole_number_texts(numbers, &self.lowering.work) {
            kinds.by_feature = true;
            for one in &texts {
                let starts = self.states_from(&feature.classed(one), CLASSES, Ending::Plain)?;
                for (way, rule) in ways.iter_mut().zip(starts) {
                    way.push(vec![Piece::Rule(rule)]);
                }
            }
        } else {
            for (way, class) in ways.iter_mut().zip(number_classes()) {
                *way = self.numbers(&numbers.intersection(&class)?, true)?;
            }
        }
        for way in ways {
            self.push_kind(way, kinds)?;
        }
        Ok(())
    }

    /// The texts of whole numbers, which have one spelling each, so that their digits tell them
    /// apart; none where there are others.
    fn whole_number_texts(numbers: &Numbers, work: &Work) -> Option<Vec<Automaton>> {
        let texts = |cell: &Cell| {
            let step = cell.step.as_ref()?;
            let states_max = CLASSED_STATES_MAX / usize::from(CLASSES);
            let texts = texts_of(cell, true, states_max, work);
            step.is_integer().then_some(texts)?.ok()
        };
        numbers.0.iter().map(texts).collect()
    }

    /// The classes of open strings; none where that takes too many states.
    fn string_classes(
        &mut self,
        set: TextsId,
        feature: Feature,
    ) -> Result<Option<Rc<TextClasses>>> {
        if let Some(known) = self.text_classes.get(&(set, feature)) {
            return Ok(known.clone());
        }
        let texts = self.automaton_of(set)?;
        let is_long = texts.len() * usize::from(CLASSES) > CLASSED_STATES_MAX;
        let by_all = matches!(feature, Feature::Sum | Feature::Weighed);
        let made = if is_long && by_all {
            None
        } else {
            let machine = feature.classed(&texts);
            let starts = self.states_from(&machine, CLASSES, Ending::Quote)?;
            let live = machine.live();
            let mut rules = Vec::with_capacity(starts.len());
            for (class, start) in (0..CLASSES).zip(starts) {
                if live[usize::from(class)] {
                    let mark = vec![array_rules::text("\""), Piece::Rule(start)];
                    rules.push((class, self.rules.add([mark])?));
                }
            }
            let sets = OnceCell::new();
            Some(Rc::new(TextClasses {
                machine,
                rules,
                sets,
            }))
        };
        self.text_classes.insert((set, feature), made.clone());
        Ok(made)
    }

    /// The sets of classes that have strings; from here on they have the rules of their classes.
    fn class_sets<'c>(&mut self, classes: &'c TextClasses) -> &'c [TextsId] {
        classes.sets.get_or_init(|| {
            let all = classes.rules.iter().map(|&(class, rule)| {
                let one = classes.machine.from_state(u32::from(class));
                let one = self.lowering.texts.ready(one);
                self.text_rules.insert(one, rule);
                one
            });
            all.collect()
        })
    }

    /// A form cut by classes; a value's class does not depend on the form.
    pub(super) fn form_classes(
        &mut self,
        form: &Form,
        feature: Feature,
    ) -> Result<Option<Vec<Form>>> {
        let mut parts = vec![Form::nothing(); usize::from(CLASSES)];
        parts[0].null = form.null;
        parts[1].bools = form.bools & 1;
        parts[2].bools = form.bools & 2;
        parts[3].arrays.clone_from(&form.arrays);
        parts[4].objects.clone_from(&form.objects);
        for (part, class) in parts.iter_mut().zip(number_classes()) {
            part.numbers = form.numbers.intersection(&class)?;
        }
        if let TextSet::Finite(all) = self.lowering.texts.get(form.strings).clone() {
            let mut by_class = vec![Vec::new(); usize::from(CLASSES)];
            for one in all.iter() {
                by_class[usize::from(feature.of(one))].push(Rc::clone(one));
            }
            for (part, mine) in parts.iter_mut().zip(by_class) {
                part.strings = self.lowering.texts.finite(mine);
            }
        } else {
            let Some(classes) = self.string_classes(form.strings, feature)? else {
                return Ok(None);
            };
            for (&(class, _), &set) in classes.rules.iter().zip(self.class_sets(&classes)) {
                parts[usize::from(class)].strings = set;
            }
        }
        Ok(Some(parts))
    }
}

/// The numbers of each class.
fn number_classes() -> impl Iterator<Item = Numbers> {
    let bound = |at: usize| {
        let bound = NUMBER_BOUNDS.get(at);
        bound.map(|&(value, is_lower)| (Decimal::from_integer(value), is_lower))
    };
    (0..usize::from(CLASSES)).map(move |class| {
        let low = class.checked_sub(1).and_then(bound);
        Numbers(vec![Cell {
            low: low.map(|(low, is_lower)| (low, !is_lower)),
            high: bound(class),
            ..Cell::default()
        }])
    })
}

#[cfg(test)]
mod tests {
    use crate::grammar::recogniser::{allows, drawn};

    /// Schemas of items, arrays without repetition that are taken, and arrays with some.
    type Case = (
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
    );

    const CASES: &[Case] = &[
        (
            r#"{"type": "string"}"#,
            &[
                "[]",
                r#"["a"]"#,
                r#"["b", "a"]"#,
                r#"["AppProvider","EventProvider"]"#,
            ],
            &[r#"["a","a"]"#, r#"["a","b","a"]"#, r#"["", ""]"#],
        ),
        (
            r#"{"enum": ["x", 1, null, [true]]}"#,
            &[r#"[null,"x"]"#, r#"["x",null,1]"#, "[[true],1]"],
            &[r#"["x","x"]"#, "[1,1]", "[null,1,null]", "[[true],[true]]"],
        ),
        (
            r#"{"type": "integer"}"#,
            &["[1,2]", "[20,3,1]", "[-1,1]"],
            &["[1,1]", "[1,1.0]", "[0,-0]", "[1,2,1]"],
        ),
        (
            r#"{"type": "number"}"#,
            &["[0.5,1.5]", "[3,-1]"],
            &["[1,1]", "[1,1.0]", "[1e0,1]", "[0.5,0.50]"],
        ),
        (
            r#"{"properties": {"id": {"type": "string"}, "of": {}}, "required": ["id"],
                "type": "object"}"#,
            &[r#"[{"id":"a"},{"id":"b","of":1}]"#],
            &[
                r#"[{"id":"a"},{"id":"a"}]"#,
                r#"[{"id":"a","of":1},{"id":"a", "of":1}]"#,
            ],
        ),
        (
            r#"{"oneOf": [
                {"properties": {"kind": {"const": "a"}}, "required": ["kind"]},
                {"properties": {"kind": {"const": "b"}}, "required": ["kind"]}
            ], "type": "object"}"#,
            &[r#"[{"kind":"b"},{"kind":"a"}]"#],
            &[r#"[{"kind":"a"},{"kind":"a"}]"#],
        ),
    ];

    fn unique(items: &str) -> String {
        format!(r#"{{"type": "array", "uniqueItems": true, "maxItems": 4, "items": {items}}}"#)
    }

    #[test]
    fn items_of_different_kinds_are_taken_and_repeated_ones_are_not() {
        for (items, taken, refused) in CASES {
            let schema = unique(items);
            for text in *taken {
                assert!(allows(&schema, text), "{items} {text}");
            }
            for text in *refused {
                assert!(!allows(&schema, text), "{items} {text}");
            }
        }
    }

    #[test]
    fn no_array_that_is_drawn_repeats_an_item() {
        for (items, ..) in CASES {
            for text in drawn(&unique(items), 200) {
                let array: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
                for (at, one) in array.iter().enumerate() {
                    let is_one = |other: &serde_json::Value| match (one.as_f64(), other.as_f64()) {
                        (Some(one), Some(other)) => (one - other).abs() < f64::MIN_POSITIVE,
                        _ => one == other,
                    };
                    assert!(!array[..at].iter().any(is_one), "{items} {text}");
                }
            }
        }
    }
}
