//! The compiler's text taken apart again: its tokens, and its rules under other names.
//!
//! It knows the text as [`super::rule_text`] writes it; what is none of its tokens passes as it is.

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// With its quotation marks.
    Literal(&'t str),
    /// With its brackets.
    Class(&'t str),
    /// Of a rule.
    Name(&'t str),
    /// A parenthesis, a bar, an operator, a counter in its braces.
    Mark(&'t str),
    /// Between them.
    Blank(&'t str),
}

impl<'t> Token<'t> {
    fn text(self) -> &'t str {
        match self {
            Self::Literal(text)
            | Self::Class(text)
            | Self::Name(text)
            | Self::Mark(text)
            | Self::Blank(text) => text,
        }
    }
}

/// The tokens of a text; together they are the text.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let token = first_token(rest)?;
        rest = &rest[token.text().len()..];
        Some(token)
    })
}

fn first_token(rest: &str) -> Option<Token<'_>> {
    let first = rest.chars().next()?;
    let run = |belongs: fn(char) -> bool| &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
    let closed = match first {
        '"' => closed_by(rest, b'"').map(Token::Literal),
        '[' => closed_by(rest, b']').map(Token::Class),
        '{' => closed_by(rest, b'}').map(Token::Mark),
        'a'..='z' | 'A'..='Z' | '_' => {
            Some(Token::Name(run(|c| c.is_ascii_alphanumeric() || c == '_')))
        }
        _ if first.is_whitespace() => Some(Token::Blank(run(char::is_whitespace))),
        _ => None,
    };
    Some(closed.unwrap_or(Token::Mark(&rest[..first.len_utf8()])))
}

/// The text up to a mark that no backslash stands before.
fn closed_by(rest: &str, mark: u8) -> Option<&str> {
    let bytes = rest.as_bytes();
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            byte if *byte == mark => return Some(&rest[..=at]),
            _ => at += 1,
        }
    }
}

/// The grammar with every rule under a name of its own, so that several can stand in one text.
/// Cost: O(text).
pub fn renamed(grammar: &str, prefix: &str) -> String {
    let mut out = String::with_capacity(grammar.len() + grammar.len() / 4);
    for token in tokens(grammar) {
        if let Token::Name(name) = token
            && is_ours(name)
        {
            out.push_str(prefix);
        }
        out.push_str(token.text());
    }
    out
}

fn is_ours(name: &str) -> bool {
    let number = name.strip_prefix('r').unwrap_or_default();
    name == "root" || !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::renamed;

    #[test]
    fn names_are_renamed_and_what_looks_like_one_is_not() {
        let text = r#"root ::= "root \"r1" r1 | [r1\]root]{1,2} r23?"#;
        let wanted = r#"t_root ::= "root \"r1" t_r1 | [r1\]root]{1,2} t_r23?"#;
        assert_eq!(renamed(text, "t_"), wanted);
        assert_eq!(renamed("r1 ::= \"é\" r1x", "t_"), "t_r1 ::= \"é\" r1x");
        assert_eq!(renamed("\"open r1", "t_"), "\"open t_r1");
    }
}
