//! Rules without what derives nothing, without repetitions, and numbered as the root reaches them.
//!
//! Engines pay for each rule, some of them for each pair of a rule and a state, so that a rule with
//! one alternative that stands in one place is written there.

use super::hash::Map;
use super::rules::{Body, Kind, RuleId, Rules, Token};

/// Rounds in which equal rules are looked for: each merges rules whose targets the last one merged.
const ROUNDS_MAX: usize = 6;
/// The name of a rule that is not written.
const UNNAMED: u32 = u32::MAX;

/// Rules as they are written.
#[derive(Debug)]
pub(super) struct Reduced {
    pub rules: Rules,
    /// Numbers by rule; 0 is the root. A rule without a number is written where it is used.
    pub numbers: Vec<u32>,
    order: Vec<RuleId>,
}

impl Reduced {
    /// None where the root derives nothing.
    pub fn of(mut rules: Rules, root: RuleId) -> Option<Self> {
        let productive = productive(&rules);
        if !productive[root as usize] {
            return None;
        }
        drop_barren(&mut rules, &productive);
        let same = representatives(&rules);
        for token in &mut rules.tokens {
            if let Token::Rule(target) = token {
                *target = same[*target as usize];
            }
        }
        let root = same[root as usize];
        let (order, uses) = reached(&rules, root);
        let mut numbers = vec![UNNAMED; rules.bodies.len()];
        let named = order
            .iter()
            .filter(|&&rule| rule == root || !is_inlined(&rules, rule, uses[rule as usize]));
        for (number, &rule) in (0..).zip(named) {
            numbers[rule as usize] = number;
        }
        Some(Self {
            rules,
            numbers,
            order,
        })
    }

    /// The rules that have a line of their own, in their order.
    pub fn written_rules(&self) -> impl Iterator<Item = RuleId> {
        let is_named = |rule: &RuleId| self.numbers[*rule as usize] != UNNAMED;
        self.order.iter().copied().filter(is_named)
    }

    /// The tokens of a rule that has no number.
    pub fn inlined(&self, rule: RuleId) -> Option<&[Token]> {
        (self.numbers[rule as usize] == UNNAMED)
            .then(|| self.rules.tokens_of(self.rules.bodies[rule as usize]))
    }
}

impl Rules {
    pub(super) fn tokens_of(&self, body: Body) -> &[Token] {
        &self.tokens[body.first as usize..body.end as usize]
    }
}

/// Whether a rule is written where it is used: once, or as short as its name.
fn is_inlined(rules: &Rules, rule: RuleId, uses: u32) -> bool {
    let body = rules.bodies[rule as usize];
    if body.kind != Kind::Plain {
        return false;
    }
    match rules.tokens_of(body) {
        [Token::Text(text), Token::End] => uses == 1 || rules.texts[*text as usize].len() <= 2,
        [.., Token::End] if uses == 1 => {
            let tokens = rules.tokens_of(body);
            tokens.iter().filter(|token| **token == Token::End).count() == 1
        }
        _ => false,
    }
}

/// For each rule, whether it derives some text.
fn productive(rules: &Rules) -> Vec<bool> {
    let count = rules.bodies.len();
    // Alternatives have numbers of their own; each waits for the rules that it names.
    let mut owners: Vec<RuleId> = Vec::with_capacity(count * 2);
    let mut waiting: Vec<u32> = Vec::with_capacity(count * 2);
    let mut starts = vec![0_u32; count + 1];
    let mut open = Vec::new();
    for (id, body) in (0..).zip(&rules.bodies) {
        if matches!(body.kind, Kind::Verbatim(_)) {
            open.push(id);
        }
        let mut needs = 0;
        for token in rules.tokens_of(*body) {
            match token {
                Token::Rule(target) => {
                    needs += 1;
                    starts[*target as usize + 1] += 1;
                }
                Token::End => {
                    owners.push(id);
                    waiting.push(needs);
                    if needs == 0 {
                        open.push(id);
                    }
                    needs = 0;
                }
                _ => {}
            }
        }
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let users = users(rules, &starts);
    let mut done = vec![false; count];
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut done[id as usize], true) {
            continue;
        }
        let range = starts[id as usize] as usize..starts[id as usize + 1] as usize;
        for &alternative in &users[range] {
            let left = &mut waiting[alternative as usize];
            *left -= 1;
            if *left == 0 {
                open.push(owners[alternative as usize]);
            }
        }
    }
    done
}

/// The alternatives that name each rule, one rule after the other.
fn users(rules: &Rules, starts: &[u32]) -> Vec<u32> {
    let mut filled = starts.to_vec();
    let mut users = vec![0; starts.last().map_or(0, |&end| end as usize)];
    let mut alternative = 0;
    for body in &rules.bodies {
        for token in rules.tokens_of(*body) {
            match token {
                Token::Rule(target) => {
                    let slot = &mut filled[*target as usize];
                    users[*slot as usize] = alternative;
                    *slot += 1;
                }
                Token::End => alternative += 1,
                _ => {}
            }
        }
    }
    users
}

/// Leaves out the alternatives that name a rule which derives nothing.
fn drop_barren(rules: &mut Rules, productive: &[bool]) {
    let kept = |token: &Token| match token {
        Token::Rule(target) => productive[*target as usize],
        _ => true,
    };
    if rules.tokens.iter().all(kept) {
        return;
    }
    let mut tokens = Vec::with_capacity(rules.tokens.len());
    for at in 0..rules.bodies.len() {
        let first = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        let all = rules.tokens_of(rules.bodies[at]);
        for pieces in all.split_inclusive(|token| *token == Token::End) {
            if pieces.iter().all(kept) {
                tokens.extend_from_slice(pieces);
            }
        }
        let end = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        let body = &mut rules.bodies[at];
        (body.first, body.end) = (first, end);
    }
    rules.tokens = tokens;
}

/// For each rule the first one that is written the same way.
fn representatives(rules: &Rules) -> Vec<RuleId> {
    let count = RuleId::try_from(rules.bodies.len()).unwrap_or(RuleId::MAX);
    let mut same: Vec<RuleId> = (0..count).collect();
    // Whether a rule was merged in the last round: only who names one is looked at again.
    let mut moved = vec![true; rules.bodies.len()];
    let mut first: Map<u64, RuleId> = Map::default();
    first.reserve(rules.bodies.len());
    for _ in 0..ROUNDS_MAX {
        let before = same.clone();
        for id in 0..count {
            let body = rules.bodies[id as usize];
            let tokens = rules.tokens_of(body);
            let names_moved =
                |token: &Token| matches!(token, Token::Rule(to) if moved[*to as usize]);
            let is_new = moved[id as usize] && before[id as usize] == id;
            if before[id as usize] != id || !(is_new || tokens.iter().any(names_moved)) {
                continue;
            }
            if let ([Token::Rule(target), Token::End], Kind::Plain) = (tokens, body.kind) {
                let target = same[*target as usize];
                if target != id && same[target as usize] == target {
                    same[id as usize] = target;
                    continue;
                }
            }
            let known = *first.entry(print(tokens, body.kind, &same)).or_insert(id);
            let target = same[known as usize];
            if target != id && is_same(rules, known, id, &same) {
                same[id as usize] = target;
            }
        }
        for id in 0..count as usize {
            let mut end = same[id];
            while same[end as usize] != end {
                end = same[end as usize];
            }
            same[id] = end;
            moved[id] = end != before[id];
        }
        if !moved.contains(&true) {
            break;
        }
    }
    same
}

/// A number that rules have in common which are written the same way.
fn print(tokens: &[Token], kind: Kind, same: &[RuleId]) -> u64 {
    let seed = match kind {
        Kind::Plain => 1,
        Kind::Closing => 2,
        Kind::Alone => 3,
        Kind::Verbatim(text) => text.as_ptr() as u64,
    };
    tokens.iter().fold(seed, |all, token| {
        let word = match token {
            Token::Text(text) => u64::from(*text) << 2,
            Token::Class(class) => u64::from(*class) << 2 | 1,
            Token::Rule(target) => u64::from(same[*target as usize]) << 2 | 2,
            Token::End => 3,
        };
        (all.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

fn is_same(rules: &Rules, one: RuleId, other: RuleId, same: &[RuleId]) -> bool {
    let (one, other) = (rules.bodies[one as usize], rules.bodies[other as usize]);
    let (left, right) = (rules.tokens_of(one), rules.tokens_of(other));
    let equal = |(left, right): (&Token, &Token)| match (left, right) {
        (Token::Rule(a), Token::Rule(b)) => same[*a as usize] == same[*b as usize],
        _ => left == right,
    };
    one.kind == other.kind && left.len() == right.len() && left.iter().zip(right).all(equal)
}

/// The rules that a root reaches, nearest first, and how often each is named.
fn reached(rules: &Rules, root: RuleId) -> (Vec<RuleId>, Vec<u32>) {
    let mut uses = vec![0_u32; rules.bodies.len()];
    let mut order = vec![root];
    uses[root as usize] = 1;
    let mut at = 0;
    while at < order.len() {
        let tokens = rules.tokens_of(rules.bodies[order[at] as usize]);
        at += 1;
        for token in tokens {
            if let Token::Rule(target) = token {
                let uses = &mut uses[*target as usize];
                if *uses == 0 {
                    order.push(*target);
                }
                *uses += 1;
            }
        }
    }
    (order, uses)
}
