//! One call's JSON object, read character by character until it is known to be a call.
//!
//! It is known once a known name stands before arguments that begin as an object; from there on the
//! arguments stream. Names that come last wait for the end of the object.

use crate::usage::{Scanner, unquote};

/// What one character did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing yet.
    More,
    /// The object is a call of this tool; its arguments follow as [`Step::Argument`].
    Begin(String),
    /// The character belongs to the arguments.
    Argument,
    /// The object has ended; what is in it is a call that was not told yet.
    Whole(String, String),
    /// The object has ended, and all of it was told.
    End,
    /// This is no call; the character was not taken.
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Name,
    Arguments,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    FirstKey,
    Key,
    InKey,
    Colon,
    BeforeValue,
    InValue,
    AfterValue,
    Streaming,
    Tail,
    Done,
}

/// Reads one object.
#[derive(Debug)]
pub(super) struct ObjectReader {
    phase: Phase,
    /// Whether members that no call has end the reading: a JSON answer is not to be held back.
    is_strict: bool,
    text: String,
    member: Member,
    name: Option<String>,
    arguments: Option<String>,
    nesting: Nesting,
}

/// Where in a value of any kind the reading stands.
#[derive(Debug, Default)]
struct Nesting {
    depth: u32,
    in_string: bool,
    is_escaped: bool,
}

impl Nesting {
    /// Takes one character; whether the value, a string, object or array, ends with it.
    fn take(&mut self, character: char) -> bool {
        if self.in_string {
            match character {
                _ if self.is_escaped => self.is_escaped = false,
                '\\' => self.is_escaped = true,
                '"' => {
                    self.in_string = false;
                    return self.depth == 0;
                }
                _ => {}
            }
            return false;
        }
        match character {
            '"' => self.in_string = true,
            '{' | '[' => self.depth += 1,
            '}' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

impl ObjectReader {
    pub fn new(is_strict: bool) -> Self {
        Self {
            phase: Phase::Open,
            is_strict,
            text: String::new(),
            member: Member::Other,
            name: None,
            arguments: None,
            nesting: Nesting::default(),
        }
    }

    /// Whether the call was begun: what has come of it is told already.
    pub fn has_begun(&self) -> bool {
        matches!(self.phase, Phase::Streaming | Phase::Tail)
    }

    /// Takes one character. `knows` says which names are tools.
    pub fn step(&mut self, character: char, knows: impl Fn(&str) -> bool) -> Step {
        let is_blank = character.is_ascii_whitespace();
        match self.phase {
            Phase::Open | Phase::FirstKey | Phase::Key | Phase::Colon | Phase::AfterValue
                if is_blank =>
            {
                Step::More
            }
            Phase::Open if character == '{' => self.go(Phase::FirstKey),
            Phase::FirstKey | Phase::Key if character == '"' => {
                self.text.clear();
                self.nesting = Nesting {
                    in_string: true,
                    ..Nesting::default()
                };
                self.text.push('"');
                self.go(Phase::InKey)
            }
            Phase::InKey => self.in_key(character),
            Phase::Colon if character == ':' => self.go(Phase::BeforeValue),
            Phase::BeforeValue => self.before_value(character, is_blank),
            Phase::InValue => self.in_value(character, knows),
            Phase::AfterValue if character == ',' => self.go(Phase::Key),
            Phase::FirstKey | Phase::AfterValue if character == '}' => self.end(),
            Phase::Streaming => {
                if self.nesting.take(character) {
                    self.phase = Phase::Tail;
                    self.nesting = Nesting::default();
                }
                Step::Argument
            }
            Phase::Tail => self.tail(character),
            _ => Step::Fail,
        }
    }

    fn go(&mut self, phase: Phase) -> Step {
        self.phase = phase;
        Step::More
    }

    fn in_key(&mut self, character: char) -> Step {
        self.text.push(character);
        if !self.nesting.take(character) {
            return Step::More;
        }
        let key = unquote(self.text.as_bytes());
        self.member = match key.as_str() {
            "name" => Member::Name,
            "arguments" | "parameters" => Member::Arguments,
            "type" | "id" | "function" => Member::Other,
            _ if self.is_strict => return Step::Fail,
            _ => Member::Other,
        };
        self.go(Phase::Colon)
    }

    fn before_value(&mut self, character: char, is_blank: bool) -> Step {
        if is_blank {
            return Step::More;
        }
        self.nesting = Nesting::default();
        let streams = self.member == Member::Arguments && character == '{';
        if streams && let Some(name) = self.name.clone() {
            self.nesting.take(character);
            self.phase = Phase::Streaming;
            return Step::Begin(name);
        }
        if !matches!(
            character,
            '"' | '{' | '[' | '-' | '0'..='9' | 't' | 'f' | 'n'
        ) {
            return Step::Fail;
        }
        self.text.clear();
        self.text.push(character);
        self.nesting.take(character);
        self.go(Phase::InValue)
    }

    fn in_value(&mut self, character: char, knows: impl Fn(&str) -> bool) -> Step {
        let is_nested = self.nesting.in_string || self.nesting.depth > 0;
        if is_nested {
            self.text.push(character);
            if !self.nesting.take(character) {
                return Step::More;
            }
            return self.keep(knows);
        }
        // A number or a word: it ends where something else begins.
        match character {
            ',' | '}' => {
                if self.keep(knows) == Step::Fail {
                    return Step::Fail;
                }
                if character == ',' {
                    self.go(Phase::Key)
                } else {
                    self.end()
                }
            }
            _ if character.is_ascii_whitespace() => self.keep(knows),
            _ if character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.') => {
                self.text.push(character);
                Step::More
            }
            _ => Step::Fail,
        }
    }

    /// A value is whole.
    fn keep(&mut self, knows: impl Fn(&str) -> bool) -> Step {
        let is_string = self.text.starts_with('"');
        match self.member {
            Member::Name => {
                let name = unquote(self.text.as_bytes());
                if !is_string || !knows(&name) {
                    return Step::Fail;
                }
                self.name = Some(name);
            }
            Member::Arguments => {
                // Some models write the object into a string.
                let arguments = if is_string {
                    unquote(self.text.as_bytes())
                } else {
                    self.text.clone()
                };
                let mut scanner = Scanner::new(arguments.as_bytes());
                if scanner
                    .object(|scanner, _| scanner.value().map(drop))
                    .is_err()
                    || scanner.end().is_err()
                {
                    return Step::Fail;
                }
                self.arguments = Some(arguments);
            }
            Member::Other => {}
        }
        self.go(Phase::AfterValue)
    }

    fn end(&mut self) -> Step {
        self.phase = Phase::Done;
        match (self.name.take(), self.arguments.take()) {
            (Some(name), Some(arguments)) => Step::Whole(name, arguments),
            (Some(name), None) if !self.is_strict => Step::Whole(name, "{}".to_owned()),
            _ => Step::Fail,
        }
    }

    /// After streamed arguments: more members, which nobody needs, up to the closing brace.
    fn tail(&mut self, character: char) -> Step {
        let is_nested = self.nesting.in_string || self.nesting.depth > 0;
        if !is_nested && character == '}' {
            self.phase = Phase::Done;
            return Step::End;
        }
        self.nesting.take(character);
        Step::More
    }
}
