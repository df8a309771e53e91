//! Free strings, and all strings but a few: the names that an object does not declare.
//!
//! An engine tries its whole vocabulary in each state in which almost any character may come, once,
//! while it loads a grammar. That is cheap in a state which characters lead back to, and dear in
//! all others. So all free strings share one such state, [`Emission::body`]: characters that need
//! no escape. It has a hint that nothing follows it, so that no token beyond them is tried there.
//!
//! - A free string is such a body, and the closing mark or an escape and a free string.
//! - One more rule offers tokens of a sign and the closing mark, such as `."`, without which
//!   texts would not end after a full stop. Those that go on, such as `.",`, are left out: an
//!   engine would have to try each of them for each mask.
//! - A string that is none of a few words goes along them letter by letter, as
//!   [`super::word_tries`] says, and is free once it has left them. The rule for one letter has a
//!   hint that nothing follows it, so that no longer token is tried there.
//! - Beside the letters stands [`Emission::more`]: a body without an end. It derives nothing, but
//!   engines offer all tokens that stay within the string. Each of them leads on in the exact rules
//!   too, for any text can be the start of a longer one that is taken.

use std::rc::Rc;

use super::charset::{CharSet, code_of};
use super::emission::Emission;
use super::escapes::{escapes_of, plain, special};
use super::hash::Map;
use super::refusal::Result;
use super::rules::{Kind, Piece, RuleId, Token};

/// The first character that is not of ASCII.
const BEYOND_ASCII: u32 = 0x80;

/// The rules that all free strings of a grammar share.
#[derive(Debug, Default)]
pub(super) struct OpenStrings {
    /// Any number of characters that need no escape.
    body: Option<RuleId>,
    free: Option<RuleId>,
    /// The same without an end.
    more: Option<RuleId>,
    last: Option<RuleId>,
    /// The strings that are none of some words, in the order in which they were asked for.
    pub(super) no_words: Vec<(Rc<[Rc<str>]>, RuleId)>,
    all_but: Map<Rc<[Rc<str>]>, RuleId>,
    any_character: Option<RuleId>,
    /// One character of a set, in rules that sets have in common.
    characters: Map<CharSet, RuleId>,
    /// The escape of a character of a set, and no token beyond it.
    escapes: Map<CharSet, RuleId>,
    /// One character of a set that needs no escape, and no token beyond it.
    plain: Map<CharSet, RuleId>,
    /// So many characters at least, and the closing mark.
    at_least: Vec<RuleId>,
}

impl Emission<'_, '_> {
    /// The rest of a free string, closing mark included.
    pub(super) fn free_string(&mut self) -> Result<RuleId> {
        if let Some(rule) = self.open_strings.free {
            return Ok(rule);
        }
        let free = self.rules.reserve()?;
        self.open_strings.free = Some(free);
        let (body, escaped) = (self.body()?, self.escaped()?);
        let mark = Piece::Text("\\".into());
        let rest = vec![
            vec![Piece::Rule(self.close()?)],
            vec![Piece::Rule(self.last_character()?)],
            vec![mark, Piece::Rule(escaped), Piece::Rule(free)],
        ];
        let rest = self.rules.add(rest)?;
        self.rules
            .define(free, [[Piece::Rule(body), Piece::Rule(rest)]]);
        Ok(free)
    }

    /// Any number of characters that need no escape. It names another rule, so that no engine
    /// writes it where it is used.
    fn body(&mut self) -> Result<RuleId> {
        if let Some(rule) = self.open_strings.body {
            return Ok(rule);
        }
        let never = self.never()?;
        let rule = self.rules.reserve()?;
        self.rules
            .define_alone(rule, [[Piece::Run(plain().clone())], [Piece::Rule(never)]]);
        self.open_strings.body = Some(rule);
        Ok(rule)
    }

    /// A sign of ASCII that needs no escape, and the closing mark; vocabularies have no tokens of a
    /// letter or a digit and the mark. A rule that names another one is not written where it is
    /// used by an engine.
    pub(super) fn last_character(&mut self) -> Result<RuleId> {
        if let Some(rule) = self.open_strings.last {
            return Ok(rule);
        }
        let never = self.never()?;
        let signs = (' '..='~').filter(|one| !one.is_ascii_alphanumeric());
        let signs = CharSet::from_codes(signs.map(|one| (code_of(one), code_of(one))).collect());
        let sign = Piece::Class(plain().intersection(&signs));
        let rule = self.rules.reserve()?;
        let all = vec![
            vec![sign, Piece::Text("\"".into())],
            vec![Piece::Rule(never)],
        ];
        self.rules.define_alone(rule, all);
        self.open_strings.last = Some(rule);
        Ok(rule)
    }

    /// Characters that need no escape, and no end: for engines to offer what goes on.
    fn more(&mut self) -> Result<RuleId> {
        if let Some(rule) = self.open_strings.more {
            return Ok(rule);
        }
        let run = [Piece::Rule(self.body()?), Piece::Rule(self.never()?)];
        let rule = self.rules.add([run])?;
        self.open_strings.more = Some(rule);
        Ok(rule)
    }

    /// The rule for all strings, with the opening mark.
    pub(super) fn any_string(&mut self) -> Result<RuleId> {
        let free = self.free_string()?;
        let mark = Piece::Text("\"".into());
        self.rules.add([[mark, Piece::Rule(free)]])
    }

    /// The rule for the strings that are none of these words, with the opening mark.
    pub(super) fn all_but(&mut self, words: &Rc<[Rc<str>]>) -> Result<RuleId> {
        if let Some(&rule) = self.open_strings.all_but.get(words) {
            return Ok(rule);
        }
        let exact = self.rules.reserve()?;
        self.open_strings.no_words.push((Rc::clone(words), exact));
        let rule = self.behind_mark(exact)?;
        self.open_strings.all_but.insert(Rc::clone(words), rule);
        Ok(rule)
    }

    /// The rule for the strings of so many characters at least, with the opening mark.
    pub(super) fn at_least(&mut self, min: u32) -> Result<RuleId> {
        if self.open_strings.at_least.is_empty() {
            let free = self.free_string()?;
            self.open_strings.at_least.push(free);
        }
        let any = self.any_character()?;
        while self.open_strings.at_least.len() <= min as usize {
            let rest = self.open_strings.at_least[self.open_strings.at_least.len() - 1];
            let longer = self.rules.add([[Piece::Rule(any), Piece::Rule(rest)]])?;
            self.open_strings.at_least.push(longer);
        }
        let exact = self.open_strings.at_least[min as usize];
        self.behind_mark(exact)
    }

    fn behind_mark(&mut self, exact: RuleId) -> Result<RuleId> {
        let ways = [exact, self.more()?];
        let ways = ways.map(|rule| [Piece::Text("\"".into()), Piece::Rule(rule)]);
        self.rules.add(ways)
    }

    /// One character, with its escape if it needs one, and for an engine no token that has more.
    pub(super) fn any_character(&mut self) -> Result<RuleId> {
        if let Some(rule) = self.open_strings.any_character {
            return Ok(rule);
        }
        let escaped = self.escaped()?;
        let rule = self.rules.reserve()?;
        let plain = vec![Piece::Class(plain().clone())];
        let escape = vec![Piece::Text("\\".into()), Piece::Rule(escaped)];
        self.rules.define_alone(rule, vec![plain, escape]);
        self.open_strings.any_character = Some(rule);
        Ok(rule)
    }

    /// A character of a set, in rules that it has in common with other sets.
    pub(super) fn character(&mut self, set: &CharSet) -> Result<RuleId> {
        if let Some(&rule) = self.open_strings.characters.get(set) {
            return Ok(rule);
        }
        if let [(low, high)] = set.ranges()
            && low == high
            && plain().contains(*low)
        {
            return self.plain_of(set.clone());
        }
        let raw = set.intersection(plain());
        let forced = set.intersection(special());
        let rule = match (raw.is_empty(), forced.is_empty()) {
            (_, true) => self.plain_character(&raw)?,
            (true, _) => self.escape(forced)?,
            _ => {
                let ways = [self.plain_character(&raw)?, self.escape(forced)?];
                self.rules.add(ways.map(|way| [Piece::Rule(way)]))?
            }
        };
        self.open_strings.characters.insert(set.clone(), rule);
        Ok(rule)
    }

    /// The escape of one of these characters, and for an engine no token beyond it.
    fn escape(&mut self, forced: CharSet) -> Result<RuleId> {
        if let Some(&rule) = self.open_strings.escapes.get(&forced) {
            return Ok(rule);
        }
        let all = if forced == *special() {
            let escaped = self.escaped()?;
            vec![vec![Piece::Text("\\".into()), Piece::Rule(escaped)]]
        } else {
            let mut all = escapes_of(&forced);
            all.push(vec![Piece::Rule(self.never()?)]);
            all
        };
        let rule = self.rules.reserve()?;
        self.rules.define_alone(rule, all);
        self.open_strings.escapes.insert(forced, rule);
        Ok(rule)
    }

    /// A character of a set that needs no escape. Those of ASCII are apart from the others, which
    /// are many, and mostly the same.
    pub(super) fn plain_character(&mut self, set: &CharSet) -> Result<RuleId> {
        let (ascii, others) = set.split_at(BEYOND_ASCII);
        if ascii.is_empty() {
            return self.plain_of(others);
        }
        if others.is_empty() {
            return self.plain_of(ascii);
        }
        let ways = [self.plain_of(ascii)?, self.plain_of(others)?];
        self.rules.add(ways.map(|way| [Piece::Rule(way)]))
    }

    /// The same for characters that an engine tries at once.
    pub(super) fn plain_of(&mut self, set: CharSet) -> Result<RuleId> {
        if let Some(&rule) = self.open_strings.plain.get(&set) {
            return Ok(rule);
        }
        let rule = self.rules.reserve()?;
        let never = self.never()?;
        let class = self.rules.class_token(&set);
        let all = [class, Token::End, Token::Rule(never), Token::End];
        self.rules.define_tokens(rule, &all, Kind::Alone);
        self.open_strings.plain.insert(set, rule);
        Ok(rule)
    }
}
