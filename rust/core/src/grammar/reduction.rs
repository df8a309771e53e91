//! Rules without what derives nothing, without repetitions, and numbered as the root reaches them.
//!
//! Engines pay for each rule, some of them for each pair of a rule and a state, so that a rule with
//! one alternative that stands in one place is written there.

use super::merging::{leaves_first, merged};
use super::rules::{Body, Kind, RuleId, Rules, Token};

/// Looks at rules that lead back to what was not looked at before, for texts that they derive.
/// There are schemas that need more, for which all rules are looked at in another way.
const LOOKS_MAX: usize = 4;

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
        let mut order = leaves_first(&rules, root);
        let productive = productive_in(&rules, &order);
        if !productive[root as usize] {
            return None;
        }
        if order.iter().any(|&id| !productive[id as usize]) {
            drop_barren(&mut rules, &productive);
            order = leaves_first(&rules, root);
        }
        let same = merged(&rules, &order);
        let root = same[root as usize];
        let (order, uses) = reached(&mut rules, root, &same);
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

    /// Bytes that the text takes at least.
    pub fn bytes_min(&self) -> usize {
        let name = |number: u32| 2 + number.checked_ilog10().unwrap_or(0) as usize;
        let bytes = |token: &Token| match *token {
            Token::Text(text) => self.rules.texts.get(text).len(),
            Token::Class(class) => self.rules.classes.get(class).len() + 1,
            Token::Rule(target) => match self.numbers[target as usize] {
                UNNAMED => 0,
                number => name(number) + 1,
            },
            // The mark between two alternatives, less a blank that the first element may have not.
            Token::End => 2,
        };
        let line = |rule: RuleId| {
            let tokens = self.rules.tokens_of(self.rules.bodies[rule as usize]);
            // A name, ` ::= ` and the end of the line, less the mark that the last one has not.
            name(self.numbers[rule as usize]) + 3 + tokens.iter().map(bytes).sum::<usize>()
        };
        self.written_rules().map(line).sum()
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
        [Token::Text(text), Token::End] => uses == 1 || rules.texts.get(*text).len() <= 2,
        [.., Token::End] if uses == 1 => {
            let tokens = rules.tokens_of(body);
            tokens.iter().filter(|token| **token == Token::End).count() == 1
        }
        _ => false,
    }
}

/// Who names each rule. Alternatives have numbers of their own.
struct Uses {
    /// Where the namers of each rule begin.
    starts: Vec<u32>,
    /// The alternatives that name each rule, one rule after the other.
    namers: Vec<u32>,
    /// For each alternative its rule, and how many rules it names.
    owners: Vec<RuleId>,
    needs: Vec<u32>,
}

impl Uses {
    fn of(rules: &Rules) -> Self {
        let count = rules.bodies.len();
        let mut owners: Vec<RuleId> = Vec::with_capacity(count * 2);
        let mut needs: Vec<u32> = Vec::with_capacity(count * 2);
        let mut starts = vec![0_u32; count + 1];
        let mut named = Vec::with_capacity(rules.tokens.len());
        for (id, body) in (0..).zip(&rules.bodies) {
            let mut needed = 0;
            for token in rules.tokens_of(*body) {
                match token {
                    Token::Rule(target) => {
                        needed += 1;
                        starts[*target as usize + 1] += 1;
                        named.push(*target);
                    }
                    Token::End => {
                        owners.push(id);
                        needs.push(std::mem::take(&mut needed));
                    }
                    _ => {}
                }
            }
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut filled = starts.clone();
        let mut namers = vec![0; named.len()];
        let mut named = named.into_iter();
        for (alternative, &needed) in (0..).zip(&needs) {
            for target in named.by_ref().take(needed as usize) {
                let slot = &mut filled[target as usize];
                namers[*slot as usize] = alternative;
                *slot += 1;
            }
        }
        Self {
            starts,
            namers,
            owners,
            needs,
        }
    }

    /// The alternatives that name a rule.
    fn namers_of(&self, id: RuleId) -> &[u32] {
        let at = id as usize;
        &self.namers[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

/// For each rule, whether it derives some text.
fn productive(rules: &Rules, uses: &Uses) -> Vec<bool> {
    // Each alternative waits for the rules that it names.
    let mut waiting = uses.needs.clone();
    let verbatim = (0..)
        .zip(&rules.bodies)
        .filter(|(_, body)| matches!(body.kind, Kind::Verbatim(_)));
    let mut open: Vec<RuleId> = verbatim.map(|(id, _)| id).collect();
    let needless = uses.owners.iter().zip(&uses.needs);
    open.extend(needless.filter(|(_, needs)| **needs == 0).map(|one| one.0));
    let mut done = vec![false; rules.bodies.len()];
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut done[id as usize], true) {
            continue;
        }
        for &alternative in uses.namers_of(id) {
            let left = &mut waiting[alternative as usize];
            *left -= 1;
            if *left == 0 {
                open.push(uses.owners[alternative as usize]);
            }
        }
    }
    done
}

/// The same for the rules of a list, each behind most of those that it names.
fn productive_in(rules: &Rules, order: &[RuleId]) -> Vec<bool> {
    let mut done = vec![false; rules.bodies.len()];
    let mut left = order.to_vec();
    for _ in 0..LOOKS_MAX {
        let before = left.len();
        left.retain(|&id| {
            let is_productive = derives(rules, id, &done);
            done[id as usize] = is_productive;
            !is_productive
        });
        if left.is_empty() || left.len() == before {
            return done;
        }
    }
    productive(rules, &Uses::of(rules))
}

/// Whether a rule derives some text if others do.
fn derives(rules: &Rules, id: RuleId, others: &[bool]) -> bool {
    let body = rules.bodies[id as usize];
    if matches!(body.kind, Kind::Verbatim(_)) {
        return true;
    }
    let mut is_whole = true;
    for token in rules.tokens_of(body) {
        match token {
            Token::Rule(target) => is_whole &= others[*target as usize],
            Token::End if is_whole => return true,
            Token::End => is_whole = true,
            Token::Text(_) | Token::Class(_) => {}
        }
    }
    false
}

/// Leaves out the alternatives that name a rule which derives nothing.
fn drop_barren(rules: &mut Rules, productive: &[bool]) {
    let kept = |token: &Token| match token {
        Token::Rule(target) => productive[*target as usize],
        _ => true,
    };
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

/// The rules that a root reaches, nearest first, and how often each is named; names those that
/// stand for others in their place.
fn reached(rules: &mut Rules, root: RuleId, same: &[RuleId]) -> (Vec<RuleId>, Vec<u32>) {
    let mut uses = vec![0_u32; rules.bodies.len()];
    let mut order = Vec::with_capacity(rules.bodies.len());
    order.push(root);
    uses[root as usize] = 1;
    let mut at = 0;
    while at < order.len() {
        let body = rules.bodies[order[at] as usize];
        at += 1;
        for token in &mut rules.tokens[body.first as usize..body.end as usize] {
            if let Token::Rule(target) = token {
                *target = same[*target as usize];
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
