//! The reader of JSON text (RFC 8259): bytes to the nodes of a [`super::document::Document`].
//!
//! A repeated key keeps its last value, as most readers do.

use std::borrow::Cow;

use memchr::memchr2;

use super::decimal::Decimal;
use super::document::{Member, Node, NodeId, Oddities};
use super::hash::{Map, Set};
use super::refusal::{Refusal, Result};

/// Keys up to so many are compared with each other.
const FEW_KEYS: usize = 12;

/// The nodes of a whole text, the root first, and what other readers take otherwise.
pub(super) fn read(text: &str, depth_max: usize) -> Result<(Vec<Node<'_>>, Oddities)> {
    let mut reader = Reader {
        text,
        at: 0,
        depth_max,
        nodes: Vec::with_capacity(text.len() / 12 + 4),
        items: Vec::new(),
        members: Vec::new(),
        oddities: Oddities::default(),
    };
    reader.nodes.push(Node::Null);
    let root = reader.value(0)?;
    reader.nodes[0] = root;
    reader.skip_blanks();
    if reader.at != text.len() {
        return Err(reader.fault("text after the end of the document"));
    }
    Ok((reader.nodes, reader.oddities))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth_max: usize,
    nodes: Vec<Node<'t>>,
    /// The items and members of the arrays and objects that are open, innermost last.
    items: Vec<NodeId>,
    members: Vec<Member<'t>>,
    oddities: Oddities,
}

impl<'t> Reader<'t> {
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

    fn literal(&mut self, word: &str, node: Node<'t>) -> Result<Node<'t>> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(node);
        }
        Err(self.fault("an unknown word"))
    }

    fn value(&mut self, depth: usize) -> Result<Node<'t>> {
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

    fn array(&mut self, depth: usize) -> Result<Node<'t>> {
        self.at += 1;
        let outer = self.items.len();
        self.skip_blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Node::Array(Box::default()));
        }
        loop {
            let child = self.child(depth)?;
            self.items.push(child);
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Node::Array(self.items.drain(outer..).collect()));
                }
                _ => return Err(self.fault("no , or ]")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node<'t>> {
        self.at += 1;
        let outer = self.members.len();
        self.skip_blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Node::Object(Box::default()));
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
            self.members.push((key, child));
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Node::Object(self.closed(outer)));
                }
                _ => return Err(self.fault("no , or }")),
            }
        }
    }

    fn number(&mut self) -> Result<Node<'t>> {
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

    fn string(&mut self) -> Result<Cow<'t, str>> {
        self.at += 1;
        let first = self.plain()?;
        let mut all = Cow::Borrowed(first);
        while self.peek() == Some(b'\\') {
            let escaped = self.escape()?;
            let rest = self.plain()?;
            let all = all.to_mut();
            all.push(escaped);
            all.push_str(rest);
        }
        self.at += 1;
        Ok(all)
    }

    /// The characters up to the next escape or to the end of the string.
    fn plain(&mut self) -> Result<&'t str> {
        let rest = &self.text[self.at..];
        let end = memchr2(b'"', b'\\', rest.as_bytes())
            .ok_or_else(|| self.fault("an unfinished string"))?;
        let plain = &rest[..end];
        let is_control = |byte: u8| byte < 0x20;
        // Without a branch for each byte.
        if plain
            .bytes()
            .fold(false, |any, byte| any | is_control(byte))
        {
            self.at += plain.bytes().take_while(|&byte| !is_control(byte)).count();
            return Err(self.fault("a control character"));
        }
        self.at += end;
        Ok(plain)
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

    /// The members of the innermost object, which is at its end; of a repeated key the last value,
    /// at the place of the first.
    fn closed(&mut self, outer: usize) -> Box<[Member<'t>]> {
        let is_repeating = has_repeats(&self.members[outer..]);
        let members = self.members.drain(outer..);
        if !is_repeating {
            return members.collect();
        }
        let mut place: Map<Cow<'t, str>, usize> = Map::default();
        let mut kept: Vec<Member<'t>> = Vec::with_capacity(members.len());
        for (name, child) in members {
            if let Some(&index) = place.get(&name) {
                self.oddities
                    .repeated_key
                    .get_or_insert_with(|| (*name).into());
                kept[index] = (name, child);
            } else {
                place.insert(name.clone(), kept.len());
                kept.push((name, child));
            }
        }
        kept.into()
    }
}

/// Whether some key comes twice.
fn has_repeats(members: &[Member<'_>]) -> bool {
    if members.len() <= FEW_KEYS {
        let is_known = |at: usize| members[..at].iter().any(|one| one.0 == members[at].0);
        return (1..members.len()).any(is_known);
    }
    let mut known: Set<&str> = Set::default();
    known.reserve(members.len());
    !members.iter().all(|one| known.insert(&one.0))
}
