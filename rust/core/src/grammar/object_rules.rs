//! Objects as rules: declared names in their order, then open names by kind.
//!
//! A state is the place in that order and what the remaining constraints still need to know:
//! which existence demands are met, how many properties there are. Open names never spell a
//! declared one. Since nothing stops an open name from coming twice, only one property of each
//! kind of open names counts towards `minProperties`.

use std::collections::VecDeque;

use super::choices::Choices;
use super::emission::Emission;
use super::escapes::quoted;
use super::form::{ExprId, NOTHING, ObjectShape};
use super::hash::Map;
use super::object_plan::Plan;
use super::refusal::Result;
use super::rules::{RuleId, Token};
use super::texts::TextsId;

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Point {
    /// The next declared name.
    index: usize,
    /// Whether a comma is due.
    started: bool,
    /// Existence demands that are met.
    met: u32,
    /// Kinds of open names that were counted.
    used: u32,
    /// Properties that surely differ, up to the least count.
    few: u32,
    /// Properties, up to the greatest count.
    many: u32,
}

/// The rule of one object shape.
///
/// # Errors
/// What cannot be said exactly, or a bound.
pub(super) fn object(emission: &mut Emission, shape: &ObjectShape) -> Result<RuleId> {
    let mut shape = shape.clone();
    if emission.lowering.options.closed_objects && shape.declares {
        let others = emission.lowering.texts.not(shape.evaluated);
        shape.rules.push((others, NOTHING));
        match emission.lowering.tidy_object(shape) {
            Some(closed) => shape = closed,
            None => return emission.rules.reserve(),
        }
    }
    let plan = Plan::of(emission, &shape)?;
    let brace = emission.rules.text_token("{");
    let mut ways = Choices::default();
    ways.push(&[brace, Token::Rule(plan.rules(emission)?)]);
    if let Some(other) = plan.in_union_order(emission, &shape) {
        ways.push(&[brace, Token::Rule(other.rules(emission)?)]);
    }
    emission.rules.add_choices(&ways)
}

impl Plan {
    fn start() -> Point {
        Point {
            index: 0,
            started: false,
            met: 0,
            used: 0,
            few: 0,
            many: 0,
        }
    }

    fn rules(&self, emission: &mut Emission) -> Result<RuleId> {
        let keys = self.key_rules(emission)?;
        let mut table = Table {
            rules: Map::default(),
            open: VecDeque::new(),
            members: Map::default(),
        };
        let start = table.rule(emission, Self::start())?;
        let (mut all, mut ways) = (Choices::default(), Ways::default());
        while let Some(point) = table.open.pop_front() {
            all.clear();
            ways.clear();
            let long = self.members.len() - point.index > self.skipped_max;
            let mut at = point.index;
            loop {
                let Some(member) = self.members.get(at) else {
                    self.ending(
                        emission,
                        &mut table,
                        &Point {
                            index: at,
                            ..point.clone()
                        },
                        &keys,
                        &mut ways,
                    )?;
                    break;
                };
                self.member(emission, &mut table, &point, at, &mut ways)?;
                if member.required {
                    break;
                }
                at += 1;
                if long {
                    let skipped = Point {
                        index: at,
                        ..point.clone()
                    };
                    all.push(&[Token::Rule(table.rule(emission, skipped)?)]);
                    break;
                }
            }
            if ways.may_end {
                all.push(&[emission.rules.text_token("}")]);
            }
            emission.next_of(!point.started, &ways.members, &mut all)?;
            let rule = table.rules[&point];
            emission.rules.define_choices(rule, &all);
        }
        Ok(start)
    }

    /// For each kind of open names the rule of its names, with their quotation marks.
    fn key_rules(&self, emission: &mut Emission) -> Result<Vec<RuleId>> {
        self.kinds
            .iter()
            .map(|kind| emission.string_rule(kind.names))
            .collect()
    }

    fn counted(&self, point: &Point, distinct: bool) -> Option<Point> {
        if self.max.is_some_and(|max| point.many >= max) {
            return None;
        }
        Some(Point {
            started: true,
            few: (point.few + u32::from(distinct)).min(self.min),
            many: if self.max.is_some() {
                point.many + 1
            } else {
                0
            },
            ..point.clone()
        })
    }

    fn member(
        &self,
        emission: &mut Emission,
        table: &mut Table,
        point: &Point,
        at: usize,
        ways: &mut Ways,
    ) -> Result<()> {
        let member = &self.members[at];
        let Some(mut next) = self.counted(point, true) else {
            return Ok(());
        };
        next.index = at + 1;
        let applies: Vec<usize> = (0..self.exists.len())
            .filter(|&i| next.met & (1 << i) == 0)
            .filter(|&i| {
                emission
                    .lowering
                    .texts
                    .contains(self.exists[i].0, &member.name)
            })
            .collect();
        for (value, met) in self.demands(emission, member.value, None, &applies) {
            let after = table.rule(
                emission,
                Point {
                    met: next.met | met,
                    ..next.clone()
                },
            )?;
            let written = if let Some(&written) = table.members.get(&(at, value, after)) {
                written
            } else {
                let name = emission.rules.text_token(quoted(&member.name));
                let [colon, value_rule] = emission.value(value)?;
                let tokens = [name, colon, value_rule, Token::Rule(after), Token::End];
                let written = emission.rules.add_tokens(&tokens)?;
                table.members.insert((at, value, after), written);
                written
            };
            ways.members.push(&[Token::Rule(written)]);
        }
        Ok(())
    }

    /// A value, and with each combination of demands that it may meet. A demand that holds for
    /// every name in question and every such value is met in any case.
    fn demands(
        &self,
        emission: &mut Emission,
        value: ExprId,
        names: Option<TextsId>,
        applies: &[usize],
    ) -> Vec<(ExprId, u32)> {
        let mut choices = vec![(value, 0)];
        for &place in applies {
            let (demanded, wanted) = self.exists[place];
            let all_names = names.is_none_or(|names| {
                let outside = emission.lowering.texts.not(demanded);
                !overlaps(emission, names, outside)
            });
            for at in 0..choices.len() {
                let (value, met) = choices[at];
                let both = emission.lowering.both(value, wanted);
                if both == value && all_names {
                    choices[at].1 |= 1 << place;
                } else if both != NOTHING {
                    choices.push((both, met | 1 << place));
                }
            }
        }
        choices
    }

    /// Open names, and the closing brace.
    fn ending(
        &self,
        emission: &mut Emission,
        table: &mut Table,
        point: &Point,
        keys: &[RuleId],
        ways: &mut Ways,
    ) -> Result<()> {
        let everything = (1_u32 << self.exists.len()) - 1;
        ways.may_end = point.met == everything && point.few >= self.min;
        for (place, kind) in self.kinds.iter().enumerate() {
            let fresh = point.used & (1 << place) == 0;
            let Some(mut next) = self.counted(point, fresh) else {
                continue;
            };
            if point.few < self.min {
                next.used |= 1 << place;
            }
            let names = kind.names;
            let met: Vec<usize> = (0..self.exists.len())
                .filter(|&i| overlaps(emission, self.exists[i].0, names))
                .collect();
            // A name that comes again overrides its first value: met demands stay binding.
            let mut value = kind.value;
            for &i in met.iter().filter(|&&i| point.met & (1 << i) != 0) {
                value = emission.lowering.both(value, self.exists[i].1);
            }
            let open: Vec<usize> = met
                .iter()
                .copied()
                .filter(|&i| point.met & (1 << i) == 0)
                .collect();
            for (value, met) in self.demands(emission, value, Some(names), &open) {
                if value == NOTHING {
                    continue;
                }
                let mut next = Point {
                    met: next.met | met,
                    ..next.clone()
                };
                if next.few >= self.min {
                    next.used = 0;
                }
                let after = table.rule(emission, next)?;
                let key = if met == 0 {
                    Some(keys[place])
                } else {
                    self.key_that_meets(emission, met, names)?
                };
                let Some(key) = key else {
                    continue;
                };
                let [colon, value] = emission.value(value)?;
                let pieces = [Token::Rule(key), colon, value, Token::Rule(after)];
                ways.members.push(&pieces);
            }
        }
        Ok(())
    }

    /// The rule of the open names that meet these demands; none where no name does.
    fn key_that_meets(
        &self,
        emission: &mut Emission,
        met: u32,
        names: TextsId,
    ) -> Result<Option<RuleId>> {
        let demands = (0..).zip(&self.exists);
        let met = demands.filter(|(place, _)| met & (1 << place) != 0);
        let names = met.fold(names, |names, (_, &(demanded, _))| {
            emission.lowering.texts.and(names, demanded)
        });
        if emission.lowering.texts.is_empty(names) {
            return Ok(None);
        }
        emission.string_rule(names).map(Some)
    }
}

fn overlaps(emission: &mut Emission, left: TextsId, right: TextsId) -> bool {
    let both = emission.lowering.texts.and(left, right);
    !emission.lowering.texts.is_empty(both)
}

/// How an object may go on.
#[derive(Default)]
struct Ways {
    may_end: bool,
    /// Members that may come, without the comma before them.
    members: Choices,
}

impl Ways {
    fn clear(&mut self) {
        self.may_end = false;
        self.members.clear();
    }
}

struct Table {
    rules: Map<Point, RuleId>,
    open: VecDeque<Point>,
    /// A declared name with its value and what follows; many points share one.
    members: Map<(usize, ExprId, RuleId), RuleId>,
}

impl Table {
    fn rule(&mut self, emission: &mut Emission, point: Point) -> Result<RuleId> {
        if let Some(&rule) = self.rules.get(&point) {
            return Ok(rule);
        }
        let rule = emission.rules.reserve()?;
        self.rules.insert(point.clone(), rule);
        self.open.push_back(point);
        Ok(rule)
    }
}
