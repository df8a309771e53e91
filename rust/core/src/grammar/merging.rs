//! Rules that are written the same way, found from the leaves up.
//!
//! A rule is looked at behind those that it names, so that one walk finds nearly all: only rules
//! that lead back to themselves may need another.

use super::hash::Map;
use super::rules::{Body, Kind, RuleId, Rules, Token};

/// Walks in which equal rules are looked for: each merges rules whose targets the last one merged.
const WALKS_MAX: usize = 6;

/// Looks at rules that lead back to what was not looked at before, for texts that they derive.
/// There are schemas that need more: what [`Merged::productive`] says is none for them.
const LOOKS_MAX: usize = 4;

/// What is the same below a root.
pub(super) struct Merged {
    /// For each rule the one that stands for it.
    pub same: Vec<RuleId>,
    /// For each rule below the root, whether it derives some text; none where that is not seen
    /// soon.
    pub productive: Option<Vec<bool>>,
    /// Whether all of them do.
    pub is_productive: bool,
}

impl Merged {
    pub fn of(rules: &Rules, root: RuleId) -> Self {
        let count = rules.bodies.len();
        let mut walk = Walk {
            rules,
            same: (0..).take(count).collect(),
            first: Map::default(),
            productive: vec![false; count],
            relied_on: vec![false; count],
        };
        walk.first.reserve(count);
        let order = leaves_first(rules, root);
        for _ in 0..WALKS_MAX {
            if walk.is_settled_by(&order) {
                break;
            }
            walk.first.clear();
        }
        let is_known = walk.is_productivity_known(&order);
        Self {
            same: walk.same,
            is_productive: is_known && order.iter().all(|&id| walk.productive[id as usize]),
            productive: is_known.then_some(walk.productive),
        }
    }
}

/// The rules below a root, each behind those that it names, but for those that lead back to it.
fn leaves_first(rules: &Rules, root: RuleId) -> Vec<RuleId> {
    let mut order = Vec::with_capacity(rules.bodies.len());
    let mut is_known = vec![false; rules.bodies.len()];
    is_known[root as usize] = true;
    let left_of = |rule: RuleId| rules.tokens_of(rules.bodies[rule as usize]).iter();
    let mut open = vec![(root, left_of(root))];
    while let Some((rule, left)) = open.last_mut() {
        let next = left.find_map(|token| match token {
            Token::Rule(target) if !is_known[*target as usize] => Some(*target),
            _ => None,
        });
        if let Some(target) = next {
            is_known[target as usize] = true;
            open.push((target, left_of(target)));
        } else {
            order.push(*rule);
            open.pop();
        }
    }
    order
}

/// What is known while rules are looked at.
struct Walk<'r> {
    rules: &'r Rules,
    same: Vec<RuleId>,
    /// The first rule with each print.
    first: Map<u64, RuleId>,
    productive: Vec<bool>,
    /// Rules that were named before they were looked at.
    relied_on: Vec<bool>,
}

impl Walk<'_> {
    /// Looks at rules in this order; says whether none was merged that was named before.
    fn is_settled_by(&mut self, order: &[RuleId]) -> bool {
        let mut is_settled = true;
        for &id in order {
            if self.same[id as usize] == id && self.is_merged(id) {
                is_settled &= !self.relied_on[id as usize];
            }
        }
        if !is_settled {
            for &id in order {
                let mut end = self.same[id as usize];
                while self.same[end as usize] != end {
                    end = self.same[end as usize];
                }
                self.same[id as usize] = end;
            }
        }
        is_settled
    }

    /// Looks again at the rules that are not seen to derive some text; says whether it is known of
    /// all then.
    fn is_productivity_known(&mut self, order: &[RuleId]) -> bool {
        let mut left = order.to_vec();
        left.retain(|&id| !self.productive[id as usize]);
        for _ in 0..LOOKS_MAX {
            let before = left.len();
            for &id in &left {
                self.print(id, self.rules.bodies[id as usize]);
            }
            left.retain(|&id| !self.productive[id as usize]);
            if left.len() == before {
                return true;
            }
        }
        left.is_empty()
    }

    /// Looks at one rule; says whether it is the same as another.
    fn is_merged(&mut self, id: RuleId) -> bool {
        let body = self.rules.bodies[id as usize];
        let print = self.print(id, body);
        let tokens = self.rules.tokens_of(body);
        let target = if let ([Token::Rule(target), Token::End], Kind::Plain) = (tokens, body.kind) {
            *target
        } else {
            let known = *self.first.entry(print).or_insert(id);
            if known == id || !self.is_same(known, id) {
                return false;
            }
            known
        };
        let target = self.same[target as usize];
        let is_other = target != id && self.same[target as usize] == target;
        if is_other {
            self.same[id as usize] = target;
        }
        is_other
    }

    /// A number that rules have in common which are written the same way. Notes whether the rule is
    /// seen to derive some text.
    fn print(&mut self, id: RuleId, body: Body) -> u64 {
        let mut is_productive = false;
        let mut print = match body.kind {
            Kind::Plain => 1,
            Kind::Closing => 2,
            Kind::Alone => 3,
            Kind::Verbatim(text) => {
                is_productive = true;
                text.as_ptr() as u64
            }
        };
        let mut is_whole = true;
        for token in self.rules.tokens_of(body) {
            let word = match token {
                Token::Text(text) => u64::from(*text) << 2,
                Token::Class(class) => u64::from(*class) << 2 | 1,
                Token::Rule(target) => {
                    if !self.productive[*target as usize] {
                        self.relied_on[*target as usize] = true;
                        is_whole = false;
                    }
                    u64::from(self.same[*target as usize]) << 2 | 2
                }
                Token::End => {
                    is_productive |= std::mem::replace(&mut is_whole, true);
                    3
                }
            };
            print = (print.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        self.productive[id as usize] |= is_productive;
        print
    }

    fn is_same(&self, one: RuleId, other: RuleId) -> bool {
        let (one, other) = (
            self.rules.bodies[one as usize],
            self.rules.bodies[other as usize],
        );
        let (left, right) = (self.rules.tokens_of(one), self.rules.tokens_of(other));
        let same = |rule: RuleId| self.same[rule as usize];
        let equal = |(left, right): (&Token, &Token)| match (left, right) {
            (Token::Rule(a), Token::Rule(b)) => same(*a) == same(*b),
            _ => left == right,
        };
        one.kind == other.kind && left.len() == right.len() && left.iter().zip(right).all(equal)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::grammar::compile;
    use crate::grammar::limits::Options;

    #[test]
    fn no_two_rules_are_written_the_same_way() {
        let shape = r##"{"type": "object", "properties": {"a": {"type": "string"},
            "b": {"items": {"$ref": "#"}}, "c": {"type": "integer"}, "d": {"type": "null"}},
            "additionalProperties": false}"##;
        let twice = format!(
            r##"{{"anyOf": [{{"$ref": "#/$defs/one"}}, {{"$ref": "#/$defs/other"}}],
                "$defs": {{"one": {shape}, "other": {shape}}}}}"##
        );
        for schema in ["{}", shape, &twice] {
            let text = compile(schema.as_bytes(), &Options::default())
                .unwrap()
                .text;
            let bodies: Vec<&str> = text
                .lines()
                .filter_map(|line| line.split_once(" ::= "))
                .map(|line| line.1)
                .collect();
            let apart: BTreeSet<&str> = bodies.iter().copied().collect();
            assert_eq!(apart.len(), bodies.len(), "{text}");
        }
    }
}
