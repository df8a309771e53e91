//! One answer's text, as it comes, into text and calls.
//!
//! Text is passed on at once except what may be the beginning of a call. What looks like a call and
//! is none (no JSON, no tool of the request) comes out as text. Memory: what is held back, bounded.

use super::object::{ObjectReader, Step};

/// Characters of a possible call that are held back before it counts as text.
const HELD_BYTES_MAX: usize = 256 * 1024;
const NAME_BYTES_MAX: usize = 64;

const TAG: &str = "<tool_call>";
const TAG_END: &str = "</tool_call>";
const LIST: &str = "[TOOL_CALLS]";
const LIST_ARGUMENTS: &str = "[ARGS]";
const PYTHON: &str = "<|python_tag|>";

/// What has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Text of the answer.
    Text(String),
    /// A call begins.
    Begin(String),
    /// More of that call's arguments.
    Arguments(String),
}

/// How a call is written, which says what stands after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `<tool_call>{…}</tool_call>`.
    Tag,
    /// `{…}`, as the answer's first characters or after a call.
    Bare,
    /// `[{…}, {…}]`.
    List,
    /// `[TOOL_CALLS]name{…}`.
    Named,
}

#[derive(Debug)]
enum State {
    /// Text; `held` may be the beginning of a call.
    Text,
    /// A call's object; `held` is all since its mark.
    Object(Form, ObjectReader),
    /// `[TOOL_CALLS]`, then a list or a name; `held` as above.
    Listed,
    /// Arguments of a named call, before their brace.
    NamedArguments(String),
    /// Named arguments: how deep, and whether inside a string or after a backslash.
    Streaming(u32, bool, bool),
    /// After a call's object.
    After(Form),
}

/// Reads one answer.
#[derive(Debug)]
pub struct CallReader {
    names: Vec<String>,
    calls_max: u32,
    calls: u32,
    state: State,
    held: String,
    /// Only blanks so far, or since a call: here a call may begin without a mark.
    is_start: bool,
    told: Vec<Told>,
}

impl CallReader {
    /// A reader of an answer that may call `names`; calls past `calls_max` are dropped.
    pub fn new(names: Vec<String>, calls_max: u32) -> Self {
        Self {
            names,
            calls_max,
            calls: 0,
            state: State::Text,
            held: String::new(),
            is_start: true,
            told: Vec::new(),
        }
    }

    /// What `text` completes, in order. Cost: O(text).
    pub fn feed(&mut self, text: &str) -> Vec<Told> {
        for character in text.chars() {
            self.step(character);
        }
        std::mem::take(&mut self.told)
    }

    /// What was held back at the end of the answer.
    pub fn finish(&mut self) -> Vec<Told> {
        let is_begun = match &self.state {
            State::Object(_, object) => object.has_begun(),
            State::Streaming(..) | State::After(_) => true,
            State::Text => self.calls > 0 && self.is_start && self.held.trim().is_empty(),
            State::Listed | State::NamedArguments(_) => false,
        };
        if !is_begun {
            self.release();
        }
        self.held.clear();
        self.state = State::Text;
        std::mem::take(&mut self.told)
    }

    /// How many calls were told.
    pub fn calls(&self) -> u32 {
        self.calls.min(self.calls_max)
    }

    fn step(&mut self, character: char) {
        match std::mem::replace(&mut self.state, State::Text) {
            State::Text => {
                self.held.push(character);
                self.settle();
            }
            State::Object(form, object) => self.in_object(form, object, character),
            State::Listed => self.in_listed(character),
            State::NamedArguments(name) => self.in_named(name, character),
            State::Streaming(depth, in_string, is_escaped) => {
                self.in_streaming((depth, in_string, is_escaped), character);
            }
            State::After(form) => self.after(form, character),
        }
    }

    /// Passes on what of the held text cannot begin a call.
    fn settle(&mut self) {
        while !self.held.is_empty() {
            match self.look() {
                Look::Wait => return,
                Look::Text => {
                    let first = self.held.remove(0);
                    self.is_start &= first.is_whitespace();
                    self.tell_text(first);
                }
                Look::Mark(state, refed) => {
                    self.state = state;
                    if let Some(character) = refed {
                        self.held.pop();
                        self.step(character);
                    }
                    return;
                }
            }
        }
    }

    fn look(&self) -> Look {
        let is_after = self.calls > 0;
        let is_blank = |character: char| character.is_whitespace() || is_after && character == ';';
        let body = if self.is_start {
            self.held.trim_start_matches(is_blank)
        } else {
            &self.held
        };
        if body.is_empty() {
            return Look::Wait;
        }
        let object = |form| State::Object(form, ObjectReader::new(form != Form::Tag));
        match body {
            TAG => return Look::Mark(object(Form::Tag), None),
            PYTHON => return Look::Mark(object(Form::Bare), None),
            LIST => return Look::Mark(State::Listed, None),
            "{" if self.is_start => return Look::Mark(object(Form::Bare), Some('{')),
            _ => {}
        }
        if [TAG, PYTHON, LIST]
            .iter()
            .any(|mark| mark.starts_with(body))
        {
            return Look::Wait;
        }
        if self.is_start
            && let Some(inner) = body.strip_prefix('[')
        {
            match inner.trim_start() {
                "" => return Look::Wait,
                "{" => return Look::Mark(object(Form::List), Some('{')),
                _ => {}
            }
        }
        Look::Text
    }

    fn in_object(&mut self, form: Form, mut object: ObjectReader, character: char) {
        let names = &self.names;
        let step = object.step(character, |name| names.iter().any(|known| known == name));
        match step {
            Step::More => {
                if !object.has_begun() {
                    self.held.push(character);
                    if self.held.len() > HELD_BYTES_MAX {
                        self.release();
                        return;
                    }
                }
                self.state = State::Object(form, object);
            }
            Step::Begin(name) => {
                self.begin(name);
                self.tell_argument(character);
                self.state = State::Object(form, object);
            }
            Step::Argument => {
                self.tell_argument(character);
                self.state = State::Object(form, object);
            }
            Step::Whole(name, arguments) => {
                self.begin(name);
                arguments.chars().for_each(|one| self.tell_argument(one));
                self.state = State::After(form);
            }
            Step::End => self.state = State::After(form),
            Step::Fail => {
                self.release();
                self.step(character);
            }
        }
    }

    fn in_listed(&mut self, character: char) {
        self.held.push(character);
        let Some(at) = self.held.find(LIST) else {
            return self.release();
        };
        let after = self.held[at + LIST.len()..].trim_start();
        let is_name = |one: char| one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.');
        let name: String = after.chars().take_while(|one| is_name(*one)).collect();
        match &after[name.len()..] {
            "{" | "[" if name.is_empty() => {
                self.held.pop();
                if character == '[' {
                    self.held.push('[');
                    self.state = State::Object(Form::List, ObjectReader::new(true));
                } else {
                    let object = State::Object(Form::List, ObjectReader::new(true));
                    self.state = object;
                    self.step(character);
                }
            }
            "{" if self.names.contains(&name) => {
                self.held.pop();
                self.state = State::NamedArguments(name);
                self.step(character);
            }
            LIST_ARGUMENTS if self.names.contains(&name) => {
                self.state = State::NamedArguments(name);
            }
            rest if LIST_ARGUMENTS.starts_with(rest) && name.len() <= NAME_BYTES_MAX => {
                self.state = State::Listed;
            }
            _ => self.release(),
        }
    }

    fn in_named(&mut self, name: String, character: char) {
        match character {
            '{' => {
                self.begin(name);
                self.tell_argument(character);
                self.state = State::Streaming(1, false, false);
            }
            _ if character.is_whitespace() => {
                self.held.push(character);
                self.state = State::NamedArguments(name);
            }
            _ => {
                self.release();
                self.step(character);
            }
        }
    }

    fn in_streaming(&mut self, (mut depth, mut in_string, escaped): (u32, bool, bool), one: char) {
        self.tell_argument(one);
        let is_escaped = in_string && !escaped && one == '\\';
        match one {
            '"' if !escaped => in_string = !in_string,
            '{' | '[' if !in_string => depth += 1,
            '}' | ']' if !in_string => depth -= 1,
            _ => {}
        }
        self.state = if depth == 0 {
            State::After(Form::Named)
        } else {
            State::Streaming(depth, in_string, is_escaped)
        };
    }

    /// What stands between calls belongs to none.
    fn after(&mut self, form: Form, character: char) {
        self.held.push(character);
        let body = self.held.trim_start();
        let is_over = match form {
            Form::Bare | Form::Named => true,
            Form::Tag if TAG_END == body => {
                self.held.clear();
                true
            }
            Form::Tag => !TAG_END.starts_with(body),
            Form::List if body == "]" => {
                self.held.clear();
                true
            }
            Form::List => match body.trim_start_matches([',', ' ', '\n', '\r', '\t']) {
                "" => false,
                "{" => {
                    self.held.clear();
                    self.state = State::Object(Form::List, ObjectReader::new(true));
                    self.step(character);
                    return;
                }
                _ => true,
            },
        };
        if is_over {
            self.is_start = true;
            self.settle();
        } else {
            self.state = State::After(form);
        }
    }

    fn begin(&mut self, name: String) {
        self.held.clear();
        self.calls += 1;
        if self.calls <= self.calls_max {
            self.told.push(Told::Begin(name));
        }
    }

    fn tell_argument(&mut self, character: char) {
        if self.calls > self.calls_max {
            return;
        }
        if let Some(Told::Arguments(text)) = self.told.last_mut() {
            text.push(character);
        } else {
            self.told.push(Told::Arguments(character.to_string()));
        }
    }

    fn tell_text(&mut self, character: char) {
        if let Some(Told::Text(text)) = self.told.last_mut() {
            text.push(character);
        } else {
            self.told.push(Told::Text(character.to_string()));
        }
    }

    /// What was held back is text after all.
    fn release(&mut self) {
        for character in std::mem::take(&mut self.held).chars() {
            self.is_start &= character.is_whitespace();
            self.tell_text(character);
        }
        self.state = State::Text;
    }
}

enum Look {
    /// More is needed to say.
    Wait,
    /// The first character is text.
    Text,
    /// A call begins; the character is to be read again, by the state.
    Mark(State, Option<char>),
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
