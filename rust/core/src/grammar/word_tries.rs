//! What is no word of a few, as rules: along the words letter by letter, until a text leaves them.
//!
//! The words of each set are a tree of letters whose equal branches are one, over all sets of a
//! grammar (the incremental construction of Daciuk and others, from words in order). Its rules name
//! rules for single letters and hold none of their own, so that engines try no tokens in them.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use super::charset::{CharSet, code_of};
use super::emission::Emission;
use super::hash::{Fast, Map};
use super::refusal::{Refusal, Result};
use super::rules::{Piece, RuleId, Token};

/// Letters that stand in one rule where none of them is a letter that a word goes on with.
const BLOCK: usize = 8;

/// Places of common sets of words.
const PLACES: usize = 512;

/// What the rule of a letter takes at least, where there are thousands.
const RULE_BYTES: usize = 20;

/// A place in some words: whether one ends there, and the letters that follow with their rules.
#[derive(Default)]
struct Place {
    is_end: bool,
    next: Vec<(char, RuleId)>,
}

/// The rules of all sets of words.
struct Tries {
    /// The letters of all words, in order, and the rule of each.
    letters: Vec<(char, RuleId)>,
    /// Rules for so many of them each.
    blocks: Vec<RuleId>,
    /// Any other character.
    rest: RuleId,
    free: RuleId,
    close: RuleId,
    /// By a number that equal rules have in common.
    known: Map<u64, RuleId>,
    /// By letters that may not come: another character and a free string.
    leave: Map<Box<[char]>, RuleId>,
    /// The letters that the words go on with at the place that is looked at.
    taken: Vec<char>,
    /// The alternatives of the rule that is made just now.
    tokens: Vec<Token>,
}

impl Emission<'_, '_> {
    /// Makes the rules that [`Self::all_but`] promised.
    pub(super) fn finish_words(&mut self) -> Result<()> {
        let sets = std::mem::take(&mut self.open_strings.no_words);
        if sets.is_empty() {
            return Ok(());
        }
        self.refuse_long(&sets)?;
        let mut tries = self.tries(&sets)?;
        let words = sets.iter().flat_map(|set| set.0.iter());
        let letters: usize = words.map(|word| word.len()).sum();
        tries.known.reserve(letters.min(PLACES));
        for (words, rule) in sets {
            let root = self.root(&mut tries, &words)?;
            self.rules.define(rule, [[Piece::Rule(root)]]);
        }
        Ok(())
    }

    /// Refuses words of more letters than rules may be made or written, before any of them is.
    fn refuse_long(&self, sets: &[(Rc<[Rc<str>]>, RuleId)]) -> Result<()> {
        let options = self.lowering.options;
        let words = sets.iter().flat_map(|set| set.0.iter());
        let longest = words.map(|word| word.chars().count()).max().unwrap_or(0);
        if self.rules.len() + longest > options.rules_max {
            return Err(Refusal::too_large("rules_max", options.rules_max));
        }
        if longest > options.text_bytes_max / RULE_BYTES {
            return Err(Refusal::too_large("text_bytes_max", options.text_bytes_max));
        }
        Ok(())
    }

    fn tries(&mut self, sets: &[(Rc<[Rc<str>]>, RuleId)]) -> Result<Tries> {
        let words = sets.iter().flat_map(|set| set.0.iter());
        let codes = words.flat_map(|word| word.chars().map(|one| (code_of(one), code_of(one))));
        let known = CharSet::from_codes(codes.collect());
        let mut letters = Vec::new();
        for code in known.ranges().iter().flat_map(|&(low, high)| low..=high) {
            let letter = super::charset::char_of(code);
            let only = CharSet::from_codes(vec![(code, code)]);
            letters.push((letter, self.character(&only)?));
        }
        let mut blocks = Vec::new();
        for block in letters.chunks(BLOCK) {
            let all = block.iter().map(|letter| [Piece::Rule(letter.1)]);
            blocks.push(self.rules.add(all)?);
        }
        let rest = self.character(&known.complement())?;
        Ok(Tries {
            letters,
            blocks,
            rest,
            free: self.free_string()?,
            close: self.close()?,
            known: Map::default(),
            leave: Map::default(),
            taken: Vec::new(),
            tokens: Vec::new(),
        })
    }

    /// The rule for the strings that are none of these words, which are in order.
    fn root(&mut self, tries: &mut Tries, words: &[Rc<str>]) -> Result<RuleId> {
        // The places on the way to the last word, which may get more letters.
        let mut path: Vec<(char, Place)> = vec![('\0', Place::default())];
        for word in words {
            let way = path[1..].iter().zip(word.chars());
            let shared = way.take_while(|(place, letter)| place.0 == *letter).count();
            self.finish_path(tries, &mut path, shared + 1)?;
            let fresh = word.chars().skip(shared);
            path.extend(fresh.map(|letter| (letter, Place::default())));
            if let Some(last) = path.last_mut() {
                last.1.is_end = true;
            }
        }
        self.finish_path(tries, &mut path, 1)?;
        self.place(tries, &path[0].1)
    }

    /// Makes the rules of the places past the first few.
    fn finish_path(
        &mut self,
        tries: &mut Tries,
        path: &mut Vec<(char, Place)>,
        length: usize,
    ) -> Result<()> {
        while path.len() > length
            && let Some((letter, place)) = path.pop()
        {
            let rule = self.place(tries, &place)?;
            if let Some(before) = path.last_mut() {
                before.1.next.push((letter, rule));
            }
        }
        Ok(())
    }

    fn place(&mut self, tries: &mut Tries, place: &Place) -> Result<RuleId> {
        let leave = self.leave(tries, place)?;
        let all = &mut tries.tokens;
        all.clear();
        if !place.is_end {
            all.extend([Token::Rule(tries.close), Token::End]);
        }
        for &(letter, next) in &place.next {
            if let Ok(at) = tries.letters.binary_search_by_key(&letter, |known| known.0) {
                let one = tries.letters[at].1;
                all.extend([Token::Rule(one), Token::Rule(next), Token::End]);
            }
        }
        all.extend([Token::Rule(leave), Token::End]);
        let known = tries.known.entry(print(all)).or_insert(RuleId::MAX);
        if *known != RuleId::MAX && self.rules.is_plainly(*known, all) {
            return Ok(*known);
        }
        let rule = self.rules.add_tokens(all)?;
        *known = rule;
        Ok(rule)
    }

    /// A character that none of the words goes on with, and a free string.
    fn leave(&mut self, tries: &mut Tries, place: &Place) -> Result<RuleId> {
        tries.taken.clear();
        tries.taken.extend(place.next.iter().map(|next| next.0));
        if let Some(&rule) = tries.leave.get(&*tries.taken) {
            return Ok(rule);
        }
        let all = &mut tries.tokens;
        all.clear();
        all.extend([Token::Rule(tries.rest), Token::End]);
        // Both are in order, so that they are walked through together.
        let mut taken = tries.taken.iter().copied().peekable();
        for (block, &whole) in tries.letters.chunks(BLOCK).zip(&tries.blocks) {
            let is_whole = match (taken.peek(), block.last()) {
                (Some(next), Some((last, _))) => next > last,
                _ => true,
            };
            if is_whole {
                all.extend([Token::Rule(whole), Token::End]);
                continue;
            }
            for &(letter, one) in block {
                if taken.next_if_eq(&letter).is_none() {
                    all.extend([Token::Rule(one), Token::End]);
                }
            }
        }
        let other = self.rules.add_tokens(all)?;
        let leave = [Token::Rule(other), Token::Rule(tries.free), Token::End];
        let rule = self.rules.add_tokens(&leave)?;
        tries.leave.insert(tries.taken.as_slice().into(), rule);
        Ok(rule)
    }
}

fn print(tokens: &[Token]) -> u64 {
    let mut hasher = Fast::default();
    tokens.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use crate::grammar::compile;
    use crate::grammar::limits::Options;

    #[test]
    fn a_name_of_more_letters_than_rules_is_refused_before_they_are_made() {
        let names = |length: usize| {
            let name = "x".repeat(length);
            compile(
                format!(r#"{{"properties": {{"{name}": {{}}}}}}"#).as_bytes(),
                &Options::default(),
            )
        };
        assert!(names(2_000).is_ok());
        for (length, limit) in [(30_000, "text_bytes_max"), (60_000, "rules_max")] {
            let refusal = names(length).unwrap_err();
            assert!(refusal.reason.contains(limit), "{refusal}");
        }
    }
}
