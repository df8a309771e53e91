//! Why a schema has no grammar: a value with pointer, keyword, reason and hint.
//!
//! It knows nothing of HTTP; the callers turn it into their own words.

use std::fmt;

/// Bounds that [`super::limits::Options`] has; the others are fixed.
const OPTIONS: [&str; 7] = [
    "schema_bytes_max",
    "depth_max",
    "alternatives_max",
    "rules_max",
    "states_max",
    "steps_max",
    "text_bytes_max",
];

/// Which kind of "no" this is: the caller's mistake, our limit, or a schema nothing satisfies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The text is not JSON, or a keyword has a value that its specification forbids.
    Invalid,
    /// The schema is sound, but no grammar of ours can say it exactly.
    Unsupported,
    /// No JSON document satisfies the schema.
    Unsatisfiable,
    /// A bound of the compiler was reached; the reason names it.
    TooLarge,
}

impl RefusalKind {
    /// The word used at the boundary.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
            Self::Unsatisfiable => "unsatisfiable",
            Self::TooLarge => "too_large",
        }
    }
}

/// A refusal that points at the place in the schema and says how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which kind of refusal.
    pub kind: RefusalKind,
    /// JSON pointer of the schema object, as a URI fragment without `#`; empty for the root.
    pub pointer: String,
    /// The keyword at fault; empty where no single one is.
    pub keyword: String,
    /// What is wrong, one sentence.
    pub reason: String,
    /// What to write instead; may be empty.
    pub hint: String,
}

impl Refusal {
    /// A refusal without a place; [`Refusal::at`] adds it.
    pub fn new(kind: RefusalKind, keyword: &str, reason: impl Into<String>) -> Self {
        Self {
            kind,
            pointer: String::new(),
            keyword: keyword.to_owned(),
            reason: reason.into(),
            hint: String::new(),
        }
    }

    /// An [`RefusalKind::Unsupported`] refusal.
    pub fn unsupported(keyword: &str, reason: impl Into<String>) -> Self {
        Self::new(RefusalKind::Unsupported, keyword, reason)
    }

    /// An [`RefusalKind::Invalid`] refusal.
    pub fn invalid(keyword: &str, reason: impl Into<String>) -> Self {
        Self::new(RefusalKind::Invalid, keyword, reason)
    }

    /// A [`RefusalKind::TooLarge`] refusal that names the limit and its value.
    pub fn too_large(limit: &str, allowed: usize) -> Self {
        let mut refusal = Self::new(
            RefusalKind::TooLarge,
            "",
            format!("the limit {limit} = {allowed} was reached"),
        );
        refusal.hint = if OPTIONS.contains(&limit) {
            format!("simplify the schema, or raise {limit}")
        } else {
            "simplify the schema".to_owned()
        };
        refusal
    }

    /// The same refusal with a place, unless it has one already.
    #[must_use]
    pub fn at(mut self, pointer: &str) -> Self {
        if self.pointer.is_empty() {
            pointer.clone_into(&mut self.pointer);
        }
        self
    }

    /// The same refusal with a hint.
    #[must_use]
    pub fn hint(mut self, hint: &str) -> Self {
        hint.clone_into(&mut self.hint);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} schema at '#{}'", self.kind.word(), self.pointer)?;
        if !self.keyword.is_empty() {
            write!(out, ", keyword '{}'", self.keyword)?;
        }
        write!(out, ": {}", self.reason)?;
        if !self.hint.is_empty() {
            write!(out, " ({})", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

/// The result of every stage.
pub type Result<T> = std::result::Result<T, Refusal>;
