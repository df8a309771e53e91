//! Schema expressions, each stored once, so that equal ones have equal ids.
//!
//! Only the laws of sets are known here (`A ∧ A = A`, `A ∧ ¬A = ∅`, …); what a schema means is
//! [`super::lowering`]'s business.

use std::rc::Rc;

use super::document::NodeId;
use super::form::{ANY, Expr, ExprId, NOTHING};
use super::hash::Map;
use super::work::Work;

/// The expressions of one compilation.
#[derive(Debug)]
pub struct Expressions {
    all: Vec<Expr>,
    ids: Map<Expr, ExprId>,
    work: Rc<Work>,
}

/// Work that it is to look at one part of an expression.
const STEPS_OF_A_PART: usize = 8;

impl Expressions {
    /// Only [`ANY`] and [`NOTHING`] so far.
    pub fn new(work: Rc<Work>) -> Self {
        let mut made = Self {
            all: Vec::new(),
            ids: Map::default(),
            work,
        };
        made.intern(Expr::Any);
        made.intern(Expr::Nothing);
        made
    }

    fn intern(&mut self, expr: Expr) -> ExprId {
        if let Some(&id) = self.ids.get(&expr) {
            return id;
        }
        let id = ExprId::try_from(self.all.len()).unwrap_or(ExprId::MAX);
        self.all.push(expr.clone());
        self.ids.insert(expr, id);
        id
    }

    /// The expression behind an id.
    pub fn get(&self, id: ExprId) -> &Expr {
        &self.all[id as usize]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Never: the two constants are always there.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The schema at a node.
    pub fn schema(&mut self, node: NodeId, scope: u32) -> ExprId {
        self.intern(Expr::Schema(node, scope))
    }

    /// The same expression, where others may stand in its place.
    pub fn beside(&mut self, expr: ExprId, others: Rc<[ExprId]>) -> ExprId {
        self.intern(Expr::Beside(expr, others))
    }

    /// One of these constants, which are told apart by their ids.
    pub fn values(&mut self, mut nodes: Vec<NodeId>) -> ExprId {
        self.work.count(STEPS_OF_A_PART * nodes.len());
        nodes.sort_unstable();
        nodes.dedup();
        if nodes.is_empty() {
            return NOTHING;
        }
        self.intern(Expr::Values(nodes.into()))
    }

    /// A finished form, by its number.
    pub fn part(&mut self, number: u32) -> ExprId {
        self.intern(Expr::Part(number))
    }

    /// Outside of it.
    pub fn not(&mut self, id: ExprId) -> ExprId {
        match self.get(id) {
            Expr::Any => NOTHING,
            Expr::Nothing => ANY,
            Expr::Not(inner) => *inner,
            _ => self.intern(Expr::Not(id)),
        }
    }

    /// In both.
    pub fn and(&mut self, left: ExprId, right: ExprId) -> ExprId {
        if left == NOTHING || right == NOTHING {
            return NOTHING;
        }
        if left == right || right == ANY {
            return left;
        }
        if left == ANY {
            return right;
        }
        let mut parts = self.flat(&[left, right], true);
        if self.has_opposites(&parts) {
            return NOTHING;
        }
        match parts.len() {
            1 => parts.remove(0),
            _ => self.intern(Expr::And(parts.into())),
        }
    }

    /// In one of them.
    pub fn or(&mut self, left: ExprId, right: ExprId) -> ExprId {
        if left == ANY || right == ANY {
            return ANY;
        }
        if left == right || right == NOTHING {
            return left;
        }
        if left == NOTHING {
            return right;
        }
        let mut parts = self.flat(&[left, right], false);
        if self.has_opposites(&parts) {
            return ANY;
        }
        match parts.len() {
            1 => parts.remove(0),
            _ => self.intern(Expr::Or(parts.into())),
        }
    }

    fn flat(&self, ids: &[ExprId], and: bool) -> Vec<ExprId> {
        let mut parts = Vec::new();
        for &id in ids {
            match (self.get(id), and) {
                (Expr::And(inner), true) | (Expr::Or(inner), false) => {
                    parts.extend_from_slice(inner);
                }
                _ => parts.push(id),
            }
        }
        self.work.count(STEPS_OF_A_PART * parts.len());
        parts.sort_unstable();
        parts.dedup();
        parts
    }

    fn has_opposites(&self, parts: &[ExprId]) -> bool {
        parts.iter().any(|&part| match self.get(part) {
            Expr::Not(inner) => parts.binary_search(inner).is_ok(),
            _ => false,
        })
    }
}
