//! Rules that are written the same way, found from the leaves up.
//!
//! A rule is looked at behind those that it names, so that one walk finds nearly all: only rules
//! that lead back to themselves may need another.

use super::hash::{Map, with_room};
use super::rules::{Body, Kind, RuleId, Rules, Token};

/// Walks in which equal rules are looked for: each merges rules whose targets the last one merged.
const WALKS_MAX: usize = 6;

/// For each rule the one that stands for it, of rules in an order of [`leaves_first`].
pub(super) fn merged(rules: &Rules, order: &[RuleId]) -> Vec<RuleId> {
    let count = rules.bodies.len();
    let mut walk = Walk {
        rules,
        same: (0..).take(count).collect(),
        first: with_room(order.len()),
        is_known: vec![false; count],
        relied_on: vec![false; count],
    };
    for _ in 0..WALKS_MAX {
        if walk.is_settled_by(order) {
            break;
        }
        walk.first.clear();
        walk.is_known.fill(false);
    }
    walk.same
}

/// The rules below a root, each behind those that it names, but for those that lead back to it.
pub(super) fn leaves_first(rules: &Rules, root: RuleId) -> Vec<RuleId> {
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
    /// Rules that were looked at, and those that were named before.
    is_known: Vec<bool>,
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
        // What stands for a rule may have been merged itself.
        for &id in order {
            let mut end = self.same[id as usize];
            while self.same[end as usize] != end {
                end = self.same[end as usize];
            }
            self.same[id as usize] = end;
        }
        is_settled
    }

    /// Looks at one rule; says whether it is the same as another.
    fn is_merged(&mut self, id: RuleId) -> bool {
        let body = self.rules.bodies[id as usize];
        let print = self.print(body);
        self.is_known[id as usize] = true;
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

    /// A number that rules have in common which are written the same way.
    fn print(&mut self, body: Body) -> u64 {
        let mut print = match body.kind {
            Kind::Plain => 1,
            Kind::Closing => 2,
            Kind::Alone => 3,
            Kind::Verbatim(text) => text.as_ptr() as u64,
        };
        for token in self.rules.tokens_of(body) {
            let word = match token {
                Token::Text(text) => u64::from(*text) << 2,
                Token::Class(class) => u64::from(*class) << 2 | 1,
                Token::Rule(target) => {
                    let target = self.same[*target as usize];
                    self.relied_on[target as usize] |= !self.is_known[target as usize];
                    u64::from(target) << 2 | 2
                }
                Token::End => 3,
            };
            print = (print.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
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
        let within = r##"{"$defs": {"p": {"type": "object", "properties": {
                "d": {"items": {"$ref": "#/$defs/p"}, "type": "array"}, "n": {"type": "string"}}}},
            "type": "object", "additionalProperties": false, "properties": {
                "e": {"type": "array", "items": {"type": "object", "properties": {
                    "r": {"type": "array", "items": {"$ref": "#/$defs/p"}}}}},
                "q": {"items": {"$ref": "#/$defs/p"}, "type": "array"}}}"##;
        for schema in ["{}", shape, &twice, within] {
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
