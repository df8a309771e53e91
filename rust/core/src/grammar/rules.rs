//! Grammar rules before they are text: kept in one list of tokens, where equal texts and classes
//! have equal numbers. What is left out or merged on the way to text is [`super::reduction`]'s.

use std::borrow::Cow;
use std::rc::Rc;

use super::charset::CharSet;
use super::choices::Choices;
use super::hash::{Map, with_room};
use super::reduction::Reduced;
use super::refusal::{Refusal, Result};
use super::rule_text::{self, Writer};
use super::work::Work;

/// What a token takes roughly: where this makes a text too large, its size is looked at before it
/// is written.
const TOKEN_BYTES: usize = 8;

/// Rules of a common grammar, their tokens, and texts and classes among them.
const RULES: usize = 128;
const TOKENS: usize = 1_024;
const TEXTS: usize = 48;
const CLASSES: usize = 24;

/// Work that it is to keep a token, and to write it.
const STEPS_OF_A_TOKEN: usize = 8;

/// The index of a rule in [`Rules`].
pub type RuleId = u32;

/// One element of an alternative.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// These characters.
    Text(Cow<'static, str>),
    /// One character of a set.
    Class(CharSet),
    /// Any number of characters of a set.
    Run(CharSet),
    /// What another rule derives.
    Rule(RuleId),
}

/// One element of an alternative, or its end; equal ones are equal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Token {
    Text(u32),
    Class(u32),
    Rule(RuleId),
    End,
}

/// The alternatives of a rule, each with its elements.
pub trait Alternatives: IntoIterator<Item: IntoIterator<Item = Piece>> {}

impl<All: IntoIterator<Item: IntoIterator<Item = Piece>>> Alternatives for All {}

/// How a rule is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// One of its alternatives.
    Plain,
    /// The same, where they end a string: a punctuation mark of JSON follows, if anything does.
    Closing,
    /// The same, where an engine should offer no token that goes beyond them.
    Alone,
    /// An expression of the dialect that names no rule and derives something.
    Verbatim(&'static str),
}

/// What a rule derives: alternatives, each with its end, in the list of tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    pub first: u32,
    pub end: u32,
    pub kind: Kind,
}

/// Texts one after the other, by number.
#[derive(Debug, Default)]
pub(super) struct Written {
    all: String,
    ends: Vec<u32>,
}

impl Written {
    /// The number of one more text, which is written to the end of the others.
    pub fn push(&mut self, write: impl FnOnce(&mut String)) -> u32 {
        write(&mut self.all);
        // More than four gigabytes would be refused long before.
        self.ends
            .push(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        u32::try_from(self.ends.len() - 1).unwrap_or(u32::MAX)
    }

    pub fn get(&self, number: u32) -> &str {
        let at = number as usize;
        let first = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.all[first as usize..self.ends[at] as usize]
    }
}

/// The rules of one grammar.
#[derive(Debug)]
pub struct Rules {
    pub(super) bodies: Vec<Body>,
    pub(super) tokens: Vec<Token>,
    /// Texts as the dialect writes them between its quotation marks.
    pub(super) texts: Written,
    /// Classes and runs of them as the dialect writes them.
    pub(super) classes: Written,
    text_numbers: Map<Cow<'static, str>, u32>,
    class_numbers: Map<CharSet, u32>,
    run_numbers: Map<CharSet, u32>,
    count_max: usize,
    work: Rc<Work>,
}

impl Rules {
    /// No rules yet, and at most so many later.
    pub fn new(rules_max: usize, work: Rc<Work>) -> Self {
        Self {
            bodies: Vec::with_capacity(RULES),
            tokens: Vec::with_capacity(TOKENS),
            texts: Written::default(),
            classes: Written::default(),
            text_numbers: with_room(TEXTS),
            class_numbers: with_room(CLASSES),
            run_numbers: Map::default(),
            count_max: rules_max,
            work,
        }
    }

    /// A rule that derives nothing until it is [`Rules::define`]d.
    ///
    /// # Errors
    /// Too large past the limit.
    pub fn reserve(&mut self) -> Result<RuleId> {
        self.work.check()?;
        let too_large = || Refusal::too_large("rules_max", self.count_max);
        if self.bodies.len() >= self.count_max {
            return Err(too_large());
        }
        let id = RuleId::try_from(self.bodies.len()).map_err(|_| too_large())?;
        self.bodies.push(Body {
            first: 0,
            end: 0,
            kind: Kind::Plain,
        });
        Ok(id)
    }

    /// Gives a reserved rule its alternatives.
    pub fn define(&mut self, id: RuleId, alternatives: impl Alternatives) {
        self.keep(id, alternatives, Kind::Plain);
    }

    /// The same for a rule that ends a string.
    pub fn define_closing(&mut self, id: RuleId, alternatives: impl Alternatives) {
        self.keep(id, alternatives, Kind::Closing);
    }

    /// The same for a rule beyond whose end no token should be offered.
    pub fn define_alone(&mut self, id: RuleId, alternatives: impl Alternatives) {
        self.keep(id, alternatives, Kind::Alone);
    }

    /// A new rule with these alternatives.
    ///
    /// # Errors
    /// As [`Rules::reserve`].
    pub fn add(&mut self, alternatives: impl Alternatives) -> Result<RuleId> {
        let id = self.reserve()?;
        self.define(id, alternatives);
        Ok(id)
    }

    /// Gives a reserved rule its alternatives.
    pub(super) fn define_choices(&mut self, id: RuleId, all: &Choices) {
        self.define_tokens(id, &all.tokens, Kind::Plain);
    }

    /// How long all of these alternatives are together, if they are words.
    pub(super) fn length_of_words(&self, all: &Choices) -> Option<usize> {
        let lengths = all.tokens.iter().map(|token| match token {
            Token::Text(text) => Some(self.texts.get(*text).len()),
            Token::End => Some(0),
            Token::Class(_) | Token::Rule(_) => None,
        });
        lengths.sum()
    }

    /// A new rule with these alternatives.
    ///
    /// # Errors
    /// As [`Rules::reserve`].
    pub(super) fn add_choices(&mut self, all: &Choices) -> Result<RuleId> {
        self.add_tokens(&all.tokens)
    }

    /// A new rule with alternatives that are tokens already, each with its end.
    ///
    /// # Errors
    /// As [`Rules::reserve`].
    pub(super) fn add_tokens(&mut self, tokens: &[Token]) -> Result<RuleId> {
        let id = self.reserve()?;
        self.define_tokens(id, tokens, Kind::Plain);
        Ok(id)
    }

    /// Gives a reserved rule its alternatives, each with its end.
    pub(super) fn define_tokens(&mut self, id: RuleId, tokens: &[Token], kind: Kind) {
        let first = self.place();
        self.work.count(STEPS_OF_A_TOKEN * tokens.len());
        self.tokens.extend_from_slice(tokens);
        let end = self.place();
        self.bodies[id as usize] = Body { first, end, kind };
    }

    /// Whether a rule has just these alternatives.
    pub(super) fn is_plainly(&self, id: RuleId, tokens: &[Token]) -> bool {
        let body = self.bodies[id as usize];
        body.kind == Kind::Plain && self.tokens_of(body) == tokens
    }

    /// A new rule with an expression of the dialect.
    ///
    /// # Errors
    /// As [`Rules::reserve`].
    pub fn verbatim(&mut self, text: &'static str) -> Result<RuleId> {
        let id = self.reserve()?;
        self.bodies[id as usize].kind = Kind::Verbatim(text);
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
    pub fn written(self, root: RuleId, text_bytes_max: usize) -> Result<Option<String>> {
        let Some(reduced) = Reduced::of(self, root) else {
            return Ok(None);
        };
        if reduced.rules.tokens.len() > text_bytes_max / TOKEN_BYTES
            && reduced.bytes_min() > text_bytes_max
        {
            return Err(Refusal::too_large("text_bytes_max", text_bytes_max));
        }
        let mut writer = Writer::new(&reduced);
        for rule in reduced.written_rules() {
            writer.rule(rule);
            if writer.len() > text_bytes_max {
                return Err(Refusal::too_large("text_bytes_max", text_bytes_max));
            }
        }
        Ok(Some(writer.into_text()))
    }

    fn keep(&mut self, id: RuleId, alternatives: impl Alternatives, kind: Kind) {
        let first = self.place();
        for pieces in alternatives {
            for piece in pieces {
                let token = self.token(piece);
                self.tokens.push(token);
            }
            self.tokens.push(Token::End);
        }
        let end = self.place();
        self.work.count(STEPS_OF_A_TOKEN * (end - first) as usize);
        self.bodies[id as usize] = Body { first, end, kind };
    }

    /// Where the next token is kept. Rules are few enough that their tokens can be counted so: a
    /// text of four gigabytes would be refused long before.
    fn place(&self) -> u32 {
        u32::try_from(self.tokens.len()).unwrap_or(u32::MAX)
    }

    /// The token of an element.
    pub(super) fn token(&mut self, piece: Piece) -> Token {
        match piece {
            Piece::Text(text) => Token::Text(self.text(text)),
            Piece::Class(set) => Token::Class(self.class(set)),
            Piece::Run(set) => Token::Class(self.run(set)),
            Piece::Rule(target) => Token::Rule(target),
        }
    }

    /// The token of these characters.
    pub(super) fn text_token(&mut self, text: impl Into<Cow<'static, str>>) -> Token {
        Token::Text(self.text(text.into()))
    }

    fn text(&mut self, text: Cow<'static, str>) -> u32 {
        if let Some(&known) = self.text_numbers.get(&text) {
            return known;
        }
        let number = self.texts.push(|out| rule_text::literal(out, &text));
        self.text_numbers.insert(text, number);
        number
    }

    /// The token of one character of a set.
    pub(super) fn class_token(&mut self, set: &CharSet) -> Token {
        let known = self.class_numbers.get(set).copied();
        Token::Class(known.unwrap_or_else(|| self.class(set.clone())))
    }

    fn class(&mut self, set: CharSet) -> u32 {
        let classes = &mut self.classes;
        let entry = self.class_numbers.entry(set);
        *entry.or_insert_with_key(|set| classes.push(|out| rule_text::class(out, set)))
    }

    fn run(&mut self, set: CharSet) -> u32 {
        let classes = &mut self.classes;
        let entry = self.run_numbers.entry(set);
        *entry.or_insert_with_key(|set| {
            classes.push(|out| {
                rule_text::class(out, set);
                out.push('*');
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Reduced;
    use crate::grammar::document::Document;
    use crate::grammar::emission::Emission;
    use crate::grammar::index::Index;
    use crate::grammar::limits::Options;
    use crate::grammar::lowering::Lowering;

    const SCHEMAS: [&str; 4] = [
        "{}",
        r#"{"type": "array", "contains": {"const": 1}, "minContains": 90}"#,
        r#"{"enum": ["", "a", "é\\", [1, {"b": null}]]}"#,
        r#"{"properties": {"a": {"pattern": "[a-f]{2,5}x?"}, "b": {"type": ["null", "number"]}}}"#,
    ];

    #[test]
    fn no_text_is_shorter_than_its_rules_foretell() {
        let options = Options::default();
        for schema in SCHEMAS {
            let document = Document::parse(schema.as_bytes(), &options).unwrap();
            let index = Index::of(&document);
            let mut lowering = Lowering::new(&document, &index, &options);
            let root = lowering.schema(0, 0).unwrap();
            let mut emission = Emission::new(&mut lowering);
            let rule = emission.schema(root).unwrap();
            let least = Reduced::of(emission.rules, rule).unwrap().bytes_min();
            let length = crate::grammar::compile(schema.as_bytes(), &options)
                .unwrap()
                .text
                .len();
            assert!(
                least <= length && 3 * least > length,
                "{schema}: {least} of {length}"
            );
        }
    }
}
