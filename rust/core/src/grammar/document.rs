//! JSON text as an arena of nodes: key order kept, numbers exact, nesting bounded. Strings are
//! borrowed from the text where they are spelt without escapes.
//!
//! It knows JSON (RFC 8259) and nothing of schemas; [`super::json_reader`] reads the text.

use std::borrow::Cow;

use super::decimal::Decimal;
use super::json_reader::read;
use super::limits::Options;
use super::refusal::{Refusal, Result};

/// The index of a value in its [`Document`].
pub type NodeId = u32;

/// A name in an object, and its value.
pub type Member<'t> = (Cow<'t, str>, NodeId);

/// One JSON value; children are ids.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'t> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, exact.
    Number(Decimal),
    /// A string of Unicode scalar values.
    String(Cow<'t, str>),
    /// Elements in order.
    Array(Box<[NodeId]>),
    /// Members in the order of the text.
    Object(Box<[Member<'t>]>),
}

/// What readers of JSON disagree on, where a text holds such a thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// A key that an object names twice.
    pub repeated_key: Option<Box<str>>,
    /// A whole number of more than 64 bits, with neither a fraction nor an exponent.
    pub has_wide_integer: bool,
    /// A number that no double holds.
    pub has_huge_number: bool,
}

/// A parsed text; node 0 is the root.
#[derive(Debug)]
pub struct Document<'t> {
    nodes: Vec<Node<'t>>,
    parents: Vec<NodeId>,
    oddities: Oddities,
}

impl<'t> Document<'t> {
    /// Parses a whole text.
    ///
    /// # Errors
    /// Invalid where it is not JSON, has a lone surrogate, or passes a bound of `options`.
    pub fn parse(text: &'t [u8], options: &Options) -> Result<Self> {
        if text.len() > options.schema_bytes_max {
            return Err(Refusal::too_large(
                "schema_bytes_max",
                options.schema_bytes_max,
            ));
        }
        let text = std::str::from_utf8(text)
            .map_err(|_| Refusal::invalid("", "the schema is not UTF-8 text"))?;
        let (nodes, oddities) = read(text, options.depth_max)?;
        let mut parents = vec![0; nodes.len()];
        for (id, node) in (0..).zip(&nodes) {
            let mut adopt = |child: NodeId| parents[child as usize] = id;
            match node {
                Node::Array(items) => items.iter().copied().for_each(&mut adopt),
                Node::Object(members) => members.iter().for_each(|member| adopt(member.1)),
                _ => {}
            }
        }
        Ok(Self {
            nodes,
            parents,
            oddities,
        })
    }

    /// What readers of JSON disagree on.
    pub fn oddities(&self) -> &Oddities {
        &self.oddities
    }

    /// The value with this id.
    pub fn node(&self, id: NodeId) -> &Node<'t> {
        &self.nodes[id as usize]
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A document has at least its root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The value that holds this one; the root holds itself.
    pub fn parent(&self, id: NodeId) -> NodeId {
        self.parents[id as usize]
    }

    /// The members of an object; empty for anything else.
    pub fn members(&self, id: NodeId) -> &[Member<'t>] {
        match self.node(id) {
            Node::Object(members) => members,
            _ => &[],
        }
    }

    /// The member of an object with this name.
    pub fn get(&self, id: NodeId, name: &str) -> Option<NodeId> {
        self.members(id)
            .iter()
            .rev()
            .find(|member| &*member.0 == name)
            .map(|member| member.1)
    }

    /// The text of a string.
    pub fn string(&self, id: NodeId) -> Option<&str> {
        match self.node(id) {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    /// The JSON pointer of a value, written as in a URI fragment without `#` and `%`-escapes.
    pub fn pointer(&self, id: NodeId) -> String {
        let mut parts = Vec::new();
        let mut child = id;
        while child != 0 {
            let parent = self.parent(child);
            parts.push(match self.node(parent) {
                Node::Array(items) => items
                    .iter()
                    .position(|&item| item == child)
                    .unwrap_or(0)
                    .to_string(),
                Node::Object(members) => members
                    .iter()
                    .find(|member| member.1 == child)
                    .map_or(String::new(), |member| {
                        member.0.replace('~', "~0").replace('/', "~1")
                    }),
                _ => String::new(),
            });
            child = parent;
        }
        parts
            .iter()
            .rev()
            .fold(String::new(), |path, part| path + "/" + part)
    }

    /// Whether two values are equal as JSON values: numbers by value, objects without order.
    pub fn equal(&self, left: NodeId, right: NodeId) -> bool {
        if left == right {
            return true;
        }
        match (self.node(left), self.node(right)) {
            (Node::Array(a), Node::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(&x, &y)| self.equal(x, y))
            }
            (Node::Object(a), Node::Object(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .all(|(name, x)| self.get(right, name).is_some_and(|y| self.equal(*x, y)))
            }
            (a, b) => a == b,
        }
    }
}
