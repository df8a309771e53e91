//! Grammar rules before they are text: built, pruned of what derives nothing, numbered, written.
//!
//! The text is deterministic: rules are numbered in the order in which the root reaches them.

use super::charset::CharSet;
use super::hash::Map;
use super::refusal::{Refusal, Result};
use super::rule_text::Writer;

/// The index of a rule in [`Rules`].
pub type RuleId = u32;

/// One element of an alternative.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// These characters.
    Text(String),
    /// One character of a set.
    Class(CharSet),
    /// What another rule derives.
    Rule(RuleId),
    /// One space or none.
    Blank,
}

/// What a rule derives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// One of these sequences.
    Alternatives(Vec<Vec<Piece>>),
    /// The same, where they end a string: a punctuation mark of JSON follows, if anything does.
    Closing(Vec<Vec<Piece>>),
    /// An expression of the dialect that names no rule and derives something.
    Verbatim(&'static str),
}

/// The rules of one grammar.
#[derive(Debug, Default)]
pub struct Rules {
    bodies: Vec<Body>,
    rules_max: usize,
}

impl Body {
    fn alternatives(&self) -> &[Vec<Piece>] {
        match self {
            Self::Alternatives(all) | Self::Closing(all) => all,
            Self::Verbatim(_) => &[],
        }
    }
}

impl Rules {
    /// No rules yet, and at most so many later.
    pub fn new(rules_max: usize) -> Self {
        Self {
            bodies: Vec::new(),
            rules_max,
        }
    }

    /// A rule that derives nothing until it is [`Rules::define`]d.
    ///
    /// # Errors
    /// Too large past the limit.
    pub fn reserve(&mut self) -> Result<RuleId> {
        if self.bodies.len() >= self.rules_max {
            return Err(Refusal::too_large("rules_max", self.rules_max));
        }
        let id = RuleId::try_from(self.bodies.len())
            .map_err(|_| Refusal::too_large("rules_max", self.rules_max))?;
        self.bodies.push(Body::Alternatives(Vec::new()));
        Ok(id)
    }

    /// Gives a reserved rule its alternatives.
    pub fn define(&mut self, id: RuleId, alternatives: Vec<Vec<Piece>>) {
        self.bodies[id as usize] = Body::Alternatives(alternatives);
    }

    /// The same for a rule that ends a string.
    pub fn define_closing(&mut self, id: RuleId, alternatives: Vec<Vec<Piece>>) {
        self.bodies[id as usize] = Body::Closing(alternatives);
    }

    /// A new rule with alternatives that end a string.
    ///
    /// # Errors
    /// As [`Rules::reserve`].
    pub fn closing(&mut self, alternatives: Vec<Vec<Piece>>) -> Result<RuleId> {
        let id = self.reserve()?;
        self.define_closing(id, alternatives);
        Ok(id)
    }

    /// A new rule with these alternatives.
    ///
    /// # Errors
    /// As [`Rules::reserve`].
    pub fn add(&mut self, alternatives: Vec<Vec<Piece>>) -> Result<RuleId> {
        let id = self.reserve()?;
        self.define(id, alternatives);
        Ok(id)
    }

    /// A new rule with an expression of the dialect.
    ///
    /// # Errors
    /// As [`Rules::reserve`].
    pub fn verbatim(&mut self, text: &'static str) -> Result<RuleId> {
        let id = self.reserve()?;
        self.bodies[id as usize] = Body::Verbatim(text);
        Ok(id)
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.bodies.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bodies.is_empty()
    }

    /// The text of the grammar from a root; none where the root derives nothing.
    ///
    /// # Errors
    /// Too large past `text_bytes_max`.
    pub fn written(mut self, root: RuleId, text_bytes_max: usize) -> Result<Option<String>> {
        let productive = self.productive();
        if !productive[root as usize] {
            return Ok(None);
        }
        self.drop_barren(&productive);
        let same = self.representatives();
        let order = self.reached(root, &same);
        let mut names = vec![u32::MAX; self.bodies.len()];
        for (number, &rule) in (0..).zip(&order) {
            names[rule as usize] = number;
        }
        let mut writer = Writer::new(order.len(), names, same);
        for &rule in &order {
            writer.rule(rule, &self.bodies[rule as usize]);
            if writer.text().len() > text_bytes_max {
                return Err(Refusal::too_large("text_bytes_max", text_bytes_max));
            }
        }
        Ok(Some(writer.into_text()))
    }

    /// For each rule, whether it derives some text.
    fn productive(&self) -> Vec<bool> {
        let mut users: Vec<Vec<(u32, u32)>> = vec![Vec::new(); self.bodies.len()];
        let mut waiting: Vec<Vec<usize>> = Vec::with_capacity(self.bodies.len());
        let mut done = vec![false; self.bodies.len()];
        let mut open = Vec::new();
        for (id, body) in (0..).zip(&self.bodies) {
            let mut counts = Vec::new();
            match body {
                Body::Verbatim(_) => open.push(id),
                Body::Alternatives(all) | Body::Closing(all) => {
                    for (place, pieces) in (0..).zip(all) {
                        let mut needs = 0;
                        for target in pieces.iter().filter_map(target_of) {
                            users[target as usize].push((id, place));
                            needs += 1;
                        }
                        counts.push(needs);
                        if needs == 0 {
                            open.push(id);
                        }
                    }
                }
            }
            waiting.push(counts);
        }
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut done[id as usize], true) {
                continue;
            }
            for &(user, place) in &users[id as usize] {
                let left = &mut waiting[user as usize][place as usize];
                *left -= 1;
                if *left == 0 {
                    open.push(user);
                }
            }
        }
        done
    }

    fn drop_barren(&mut self, productive: &[bool]) {
        for body in &mut self.bodies {
            if let Body::Alternatives(all) | Body::Closing(all) = body {
                all.retain(|pieces| {
                    pieces
                        .iter()
                        .filter_map(target_of)
                        .all(|target| productive[target as usize])
                });
            }
        }
    }

    /// For each rule the first one that is written the same way.
    fn representatives(&self) -> Vec<RuleId> {
        let count = RuleId::try_from(self.bodies.len()).unwrap_or(RuleId::MAX);
        let mut same: Vec<RuleId> = (0..count).collect();
        // Each round merges rules whose targets were merged before; three catch the common chains.
        for _ in 0..3 {
            let mut first: Map<Body, RuleId> = Map::default();
            first.reserve(self.bodies.len());
            let mut changed = false;
            for id in 0..count {
                if same[id as usize] != id {
                    continue;
                }
                let body = renamed(&self.bodies[id as usize], &same);
                if let [only] = body.alternatives()
                    && let [Piece::Rule(target)] = only.as_slice()
                    && *target != id
                    && same[*target as usize] == *target
                {
                    same[id as usize] = *target;
                    changed = true;
                    continue;
                }
                let kept = *first.entry(body).or_insert(id);
                changed |= kept != id;
                same[id as usize] = kept;
            }
            for id in 0..count as usize {
                let mut end = same[id];
                for _ in 0..64 {
                    end = same[end as usize];
                }
                same[id] = end;
            }
            if !changed {
                break;
            }
        }
        same
    }

    fn reached(&self, root: RuleId, same: &[RuleId]) -> Vec<RuleId> {
        let mut seen = vec![false; self.bodies.len()];
        let root = same[root as usize];
        let mut order = vec![root];
        seen[root as usize] = true;
        let mut at = 0;
        while at < order.len() {
            let all = self.bodies[order[at] as usize].alternatives();
            at += 1;
            for target in all.iter().flatten().filter_map(target_of) {
                let target = same[target as usize];
                if !std::mem::replace(&mut seen[target as usize], true) {
                    order.push(target);
                }
            }
        }
        order
    }
}

fn target_of(piece: &Piece) -> Option<RuleId> {
    match piece {
        Piece::Rule(target) => Some(*target),
        _ => None,
    }
}

fn renamed(body: &Body, same: &[RuleId]) -> Body {
    let piece = |piece: &Piece| match piece {
        Piece::Rule(target) => Piece::Rule(same[*target as usize]),
        other => other.clone(),
    };
    let alternatives = |all: &[Vec<Piece>]| {
        all.iter()
            .map(|pieces| pieces.iter().map(piece).collect())
            .collect()
    };
    match body {
        Body::Alternatives(all) => Body::Alternatives(alternatives(all)),
        Body::Closing(all) => Body::Closing(alternatives(all)),
        Body::Verbatim(text) => Body::Verbatim(text),
    }
}
