//! JSON text as an arena of nodes: key order kept, numbers exact, nesting bounded.
//!
//! It knows JSON (RFC 8259) and nothing of schemas. A repeated key keeps its last value, as most
//! readers do.

use super::decimal::Decimal;
use super::hash::{Map, Set};
use super::limits::Options;
use super::refusal::{Refusal, Result};

/// Keys up to so many are compared with each other.
const FEW_KEYS: usize = 12;

/// The index of a value in its [`Document`].
pub type NodeId = u32;

/// One JSON value; children are ids.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, exact.
    Number(Decimal),
    /// A string of Unicode scalar values.
    String(Box<str>),
    /// Elements in order.
    Array(Vec<NodeId>),
    /// Members in the order of the text.
    Object(Vec<(Box<str>, NodeId)>),
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
pub struct Document {
    nodes: Vec<Node>,
    parents: Vec<NodeId>,
    oddities: Oddities,
}

impl Document {
    /// Parses a whole text.
    ///
    /// # Errors
    /// Invalid where it is not JSON, has a lone surrogate, or passes a bound of `options`.
    pub fn parse(text: &[u8], options: &Options) -> Result<Self> {
        if text.len() > options.schema_bytes_max {
            return Err(Refusal::too_large(
                "schema_bytes_max",
                options.schema_bytes_max,
            ));
        }
        let text = std::str::from_utf8(text)
            .map_err(|_| Refusal::invalid("", "the schema is not UTF-8 text"))?;
        let mut reader = Reader {
            text,
            at: 0,
            depth_max: options.depth_max,
            nodes: Vec::with_capacity(text.len() / 12 + 4),
            oddities: Oddities::default(),
        };
        reader.nodes.push(Node::Null);
        let root = reader.value(0)?;
        reader.nodes[0] = root;
        reader.skip_blanks();
        if reader.at != text.len() {
            return Err(reader.fault("text after the end of the document"));
        }
        let (nodes, oddities) = (reader.nodes, reader.oddities);
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
    pub fn node(&self, id: NodeId) -> &Node {
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
    pub fn members(&self, id: NodeId) -> &[(Box<str>, NodeId)] {
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

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth_max: usize,
    nodes: Vec<Node>,
    oddities: Oddities,
}

impl Reader<'_> {
    fn fault(&self, what: &str) -> Refusal {
        Refusal::invalid("", format!("not JSON: {what} at byte {}", self.at))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn literal(&mut self, word: &str, node: Node) -> Result<Node> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(node);
        }
        Err(self.fault("an unknown word"))
    }

    fn value(&mut self, depth: usize) -> Result<Node> {
        if depth > self.depth_max {
            return Err(Refusal::too_large("depth_max", self.depth_max));
        }
        self.skip_blanks();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Node::String(self.string()?)),
            Some(b't') => self.literal("true", Node::Bool(true)),
            Some(b'f') => self.literal("false", Node::Bool(false)),
            Some(b'n') => self.literal("null", Node::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.fault("no value")),
        }
    }

    fn child(&mut self, depth: usize) -> Result<NodeId> {
        let node = self.value(depth + 1)?;
        let id = NodeId::try_from(self.nodes.len()).map_err(|_| self.fault("too many values"))?;
        self.nodes.push(node);
        Ok(id)
    }

    fn array(&mut self, depth: usize) -> Result<Node> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Node::Array(items));
        }
        loop {
            items.push(self.child(depth)?);
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Node::Array(items));
                }
                _ => return Err(self.fault("no , or ]")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node> {
        self.at += 1;
        let mut members: Vec<(Box<str>, NodeId)> = Vec::new();
        self.skip_blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Node::Object(members));
        }
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'"') {
                return Err(self.fault("no key"));
            }
            let key = self.string()?;
            self.skip_blanks();
            if self.peek() != Some(b':') {
                return Err(self.fault("no :"));
            }
            self.at += 1;
            let child = self.child(depth)?;
            members.push((key, child));
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Node::Object(self.without_repeats(members)));
                }
                _ => return Err(self.fault("no , or }")),
            }
        }
    }

    fn number(&mut self) -> Result<Node> {
        let start = self.at;
        while matches!(
            self.peek(),
            Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
        ) {
            self.at += 1;
        }
        let spelt = &self.text[start..self.at];
        let is_whole = !spelt.contains(['.', 'e', 'E']);
        // Shorter ones fit in any case.
        self.oddities.has_wide_integer |=
            is_whole && spelt.len() > 18 && spelt.parse::<i64>().is_err();
        self.oddities.has_huge_number |= !is_whole && spelt.parse().is_ok_and(f64::is_infinite);
        Decimal::parse(spelt)
            .map(Node::Number)
            .ok_or_else(|| self.fault("a malformed number"))
    }

    fn string(&mut self) -> Result<Box<str>> {
        self.at += 1;
        // Most have no escape and are copied once.
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let is_plain = |&byte: &u8| byte != b'"' && byte != b'\\' && byte >= 0x20;
        let plain = rest.iter().take_while(|byte| is_plain(byte)).count();
        if rest.get(plain) == Some(&b'"') {
            self.at += plain + 1;
            return Ok(self.text[start..start + plain].into());
        }
        let mut out = String::new();
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let plain = rest
                .iter()
                .position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20)
                .ok_or_else(|| self.fault("an unfinished string"))?;
            out.push_str(&self.text[self.at..self.at + plain]);
            self.at += plain;
            match rest[plain] {
                b'"' => {
                    self.at += 1;
                    return Ok(out.into());
                }
                b'\\' => out.push(self.escape()?),
                _ => return Err(self.fault("a control character")),
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        self.at += 1;
        let byte = self
            .peek()
            .ok_or_else(|| self.fault("an unfinished escape"))?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.fault("an unknown escape")),
        })
    }

    fn unicode(&mut self) -> Result<char> {
        let high = self.hex()?;
        if (0xd800..0xdc00).contains(&high) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return char::from_u32(code).ok_or_else(|| self.fault("a bad surrogate pair"));
            }
        }
        char::from_u32(high).ok_or_else(|| self.fault("a lone surrogate"))
    }

    fn hex(&mut self) -> Result<u32> {
        let digits = self.text.get(self.at..self.at + 4);
        let code = digits
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.fault("a malformed \\u escape"))?;
        self.at += 4;
        Ok(code)
    }

    /// The members with the last value of each repeated key, at the place of the first.
    fn without_repeats(&mut self, members: Vec<(Box<str>, NodeId)>) -> Vec<(Box<str>, NodeId)> {
        if !has_repeats(&members) {
            return members;
        }
        let mut place: Map<Box<str>, usize> = Map::default();
        let mut kept: Vec<(Box<str>, NodeId)> = Vec::with_capacity(members.len());
        for (name, child) in members {
            if let Some(&index) = place.get(&name) {
                self.oddities
                    .repeated_key
                    .get_or_insert_with(|| name.clone());
                kept[index] = (name, child);
            } else {
                place.insert(name.clone(), kept.len());
                kept.push((name, child));
            }
        }
        kept
    }
}

/// Whether some key comes twice.
fn has_repeats(members: &[(Box<str>, NodeId)]) -> bool {
    if members.len() <= FEW_KEYS {
        let is_known = |at: usize| members[..at].iter().any(|one| one.0 == members[at].0);
        return (1..members.len()).any(is_known);
    }
    let mut known: Set<&str> = Set::default();
    known.reserve(members.len());
    !members.iter().all(|one| known.insert(&one.0))
}
