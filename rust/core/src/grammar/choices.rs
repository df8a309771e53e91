//! Alternatives of a rule before it has its place among the others.

use super::rules::Token;

/// Alternatives of a rule in the making, one after the other, each with its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Choices {
    pub tokens: Vec<Token>,
    count: usize,
}

impl Choices {
    /// None yet, with room for so many tokens and ends.
    pub fn with_room(tokens: usize) -> Self {
        Self {
            tokens: Vec::with_capacity(tokens),
            count: 0,
        }
    }

    /// Adds one.
    pub fn push(&mut self, pieces: &[Token]) {
        self.tokens.reserve(pieces.len() + 1);
        self.tokens.extend_from_slice(pieces);
        self.tokens.push(Token::End);
        self.count += 1;
    }

    /// Adds those of others, each behind a mark.
    pub fn extend_behind(&mut self, mark: Token, others: &Self) {
        self.tokens.reserve(others.tokens.len() + others.count);
        let all = others.tokens.split_inclusive(|token| *token == Token::End);
        for pieces in all {
            self.tokens.push(mark);
            self.tokens.extend_from_slice(pieces);
        }
        self.count += others.count;
    }

    /// Adds those of others.
    pub fn extend(&mut self, others: &Self) {
        self.tokens.extend_from_slice(&others.tokens);
        self.count += others.count;
    }

    /// Removes all of them.
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.count = 0;
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
