//! An answer object written anew with a few spans changed; all other bytes stay as they were.
//!
//! Decides nothing about which changes are wanted: `sse::answer` and `whole` do.

use super::chunk::Chunk;
use super::scan::Span;

/// What takes the place of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// Nothing.
    Remove,
    /// The name the client knows the model by.
    Model,
    /// The word `null`.
    Null,
    /// `"cost"` as one more member of the usage.
    AddCost {
        /// A member stands before it.
        after_comma: bool,
    },
    /// `"usage":null` as one more member.
    AddNullUsage {
        /// A member stands before it.
        after_comma: bool,
    },
}

/// Changes to one object, kept and filled again from chunk to chunk.
#[derive(Debug, Default)]
pub struct Splice {
    edits: Vec<(Span, Edit)>,
    /// A JSON string literal.
    cost: String,
}

impl Splice {
    /// Forgets all changes.
    pub fn clear(&mut self) {
        self.edits.clear();
    }

    /// Whether the object stays as it is.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Gives every `model` the client's name.
    pub fn rename_model(&mut self, chunk: &Chunk) {
        for span in &chunk.models {
            self.edits.push((*span, Edit::Model));
        }
    }

    /// Takes every `usage` out, each with one comma.
    pub fn remove_usage(&mut self, chunk: &Chunk) {
        for usage in &chunk.usages {
            let span = match usage.kept_to {
                Some(kept_to) => Span {
                    from: kept_to,
                    to: usage.value.to,
                },
                None => Span {
                    from: usage.from,
                    to: usage.next,
                },
            };
            self.edits.push((span, Edit::Remove));
        }
    }

    /// Makes every `usage` null and adds one where there was none.
    pub fn null_usage(&mut self, chunk: &Chunk) {
        for usage in &chunk.usages {
            self.edits.push((usage.value, Edit::Null));
        }
        if chunk.usages.is_empty() {
            let at = Span {
                from: chunk.close,
                to: chunk.close,
            };
            let after_comma = chunk.has_members;
            self.edits.push((at, Edit::AddNullUsage { after_comma }));
        }
    }

    /// Tells in the last `usage` of `text` what it cost, in dollars as a decimal string.
    pub fn add_cost(&mut self, chunk: &Chunk, text: &[u8], nanos: i64) {
        let Some(usage) = chunk.usages.last() else {
            return;
        };
        let value = &text[usage.value.from..usage.value.to];
        let Some(inside) = value.strip_suffix(b"}") else {
            return; // null
        };
        let after_comma = inside.trim_ascii_end().last() != Some(&b'{');
        let at = usage.value.to - 1;
        self.cost = format!("\"{}\"", dollars(nanos));
        self.edits
            .push((Span { from: at, to: at }, Edit::AddCost { after_comma }));
    }

    /// Puts `null` in the place of a value.
    pub fn null_value(&mut self, value: Span) {
        self.edits.push((value, Edit::Null));
    }

    /// Writes `text` with the changes, piece by piece.
    pub fn write(&mut self, text: &[u8], model: &[u8], mut push: impl FnMut(&[u8])) {
        self.edits.sort_unstable_by_key(|(span, _)| span.from);
        let mut at = 0;
        for (span, edit) in &self.edits {
            // Spans that follow each other without a member between share their space.
            push(&text[at..span.from.max(at)]);
            match edit {
                Edit::Remove => {}
                Edit::Model => push(model),
                Edit::Null => push(b"null"),
                Edit::AddCost { after_comma } => {
                    push(if *after_comma {
                        b",\"cost\":".as_slice()
                    } else {
                        b"\"cost\":"
                    });
                    push(self.cost.as_bytes());
                }
                Edit::AddNullUsage { after_comma: true } => push(b",\"usage\":null"),
                Edit::AddNullUsage { after_comma: false } => push(b"\"usage\":null"),
            }
            at = span.to.max(at);
        }
        push(&text[at..]);
    }
}

/// Nanos as dollars: `0.0000123`, without zeros at the end.
fn dollars(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let text = format!(
        "{sign}{}.{:09}",
        nanos / 1_000_000_000,
        nanos % 1_000_000_000
    );
    let shorter = text.trim_end_matches('0');
    shorter.strip_suffix('.').unwrap_or(shorter).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_exact() {
        let cases = [
            (0, "0"),
            (1, "0.000000001"),
            (12_300, "0.0000123"),
            (-5, "-0.000000005"),
        ];
        for (nanos, text) in cases {
            assert_eq!(dollars(nanos), text);
        }
        assert_eq!(dollars(2_000_000_000), "2");
        assert_eq!(dollars(10_500_000_000), "10.5");
    }
}
