//! Money in whole nano-dollars: what tokens cost. Pure arithmetic that cannot overflow.

use crate::usage::Usage;

/// The largest balance, and the largest amount in one step, either way: 288 million dollars. A
/// word has room for twice that, so a refund of what was held always fits.
pub const NANOS_MAX: i64 = 288_000_000_000_000_000;

/// Prices of one model, in nanos a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// A token of the prompt.
    pub prompt: u64,
    /// A token of the prompt that the engine had in its cache.
    pub cached: u64,
    /// A token made.
    pub completion: u64,
}

/// Tokens of one answer, as the engine counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the prompt, cached ones included.
    pub prompt: u32,
    /// Of the prompt, from the engine's cache; more than `prompt` counts as all of it.
    pub cached: u32,
    /// Made.
    pub completion: u32,
}

impl Tokens {
    /// What counts against a limit.
    pub fn total(self) -> u64 {
        u64::from(self.prompt) + u64::from(self.completion)
    }
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        let count = |tokens: u64| u32::try_from(tokens).unwrap_or(u32::MAX);
        Self {
            prompt: count(usage.prompt_tokens),
            cached: count(usage.cached_tokens),
            completion: count(usage.completion_tokens),
        }
    }
}

impl Price {
    /// What these tokens cost, at most [`NANOS_MAX`].
    pub fn cost(&self, tokens: Tokens) -> i64 {
        let cached = tokens.cached.min(tokens.prompt);
        let parts = [
            (tokens.prompt - cached, self.prompt),
            (cached, self.cached),
            (tokens.completion, self.completion),
        ];
        bounded(
            parts
                .iter()
                .map(|(count, price)| u128::from(*count) * u128::from(*price))
                .sum(),
        )
    }

    /// The most that a request can cost whose counts are at most these: each token of the prompt
    /// at the dearer of its two prices.
    pub fn worst(&self, prompt: u64, completion: u64) -> i64 {
        let dearer = u128::from(self.prompt.max(self.cached));
        let made = u128::from(completion) * u128::from(self.completion);
        bounded((u128::from(prompt) * dearer).saturating_add(made))
    }
}

fn bounded(nanos: u128) -> i64 {
    i64::try_from(nanos).map_or(NANOS_MAX, |nanos| nanos.min(NANOS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_kind_of_token_has_its_price() {
        let price = Price {
            prompt: 100,
            cached: 10,
            completion: 300,
        };
        let tokens = Tokens {
            prompt: 7,
            cached: 3,
            completion: 2,
        };
        assert_eq!(price.cost(tokens), 4 * 100 + 3 * 10 + 2 * 300);
    }

    proptest! {
        #[test]
        fn no_cost_is_over_the_worst(
            prompt: u32, cached: u32, completion: u32,
            prices in prop::array::uniform3(prop_oneof![0..10_000_u64, any::<u64>()]),
        ) {
            let [per_prompt, per_cached, per_completion] = prices;
            let price =
                Price { prompt: per_prompt, cached: per_cached, completion: per_completion };
            let cost = price.cost(Tokens { prompt, cached, completion });
            let worst = price.worst(prompt.into(), completion.into());
            prop_assert!((0..=worst).contains(&cost) && worst <= NANOS_MAX);
        }
    }
}
