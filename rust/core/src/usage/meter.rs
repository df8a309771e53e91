//! The tokens of one answer, kept up to date while it comes.
//!
//! vLLM's continuous usage is per choice: `completion_tokens` is that choice's alone, so the
//! highest of each index is summed; the prompt counts once. The last chunk, without choices, has
//! the request's totals and wins.

use super::chunk::{CHOICES_MAX, Choice, Counts};

/// Tokens as the engine counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens made, over all choices.
    pub completion_tokens: u64,
    /// Those of the prompt that were in the engine's cache.
    pub cached_tokens: u64,
    /// Whether the engine sent any usage.
    pub seen: bool,
}

/// Counts the usage that an answer's objects carry.
#[derive(Debug, Default)]
pub struct Meter {
    usage: Usage,
    per_choice: Vec<u64>,
    per_choice_sum: u64,
    has_total: bool,
}

impl Meter {
    /// Takes in one `usage` and the choices that stood beside it.
    ///
    /// Beside exactly one choice the count is that choice's; otherwise it is the request's.
    /// Memory: one number a choice, at most [`CHOICES_MAX`].
    pub fn take(&mut self, counts: &Counts, choices: &[Choice]) {
        self.usage.seen = true;
        if let Some(prompt) = counts.prompt {
            self.usage.prompt_tokens = prompt;
        }
        if let Some(cached) = counts.cached {
            self.usage.cached_tokens = cached;
        }
        let Some(completion) = counts.completion else {
            return;
        };
        if let [choice] = choices {
            self.take_choice(choice.index, completion);
        } else {
            self.has_total = true;
            self.usage.completion_tokens = completion;
        }
    }

    /// What was used as far as is known.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    fn take_choice(&mut self, index: u32, completion: u64) {
        let index = index.min(CHOICES_MAX - 1) as usize;
        if self.per_choice.len() <= index {
            self.per_choice.resize(index + 1, 0);
        }
        let known = &mut self.per_choice[index];
        if completion > *known {
            self.per_choice_sum = self.per_choice_sum.saturating_add(completion - *known);
            *known = completion;
        }
        if !self.has_total {
            self.usage.completion_tokens = self.per_choice_sum;
        }
    }
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
