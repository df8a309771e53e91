//! What a race is judged by.

/// The figures of one race.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    pub requests: usize,
    /// Time to the first token.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Tokens of answers a second, over the fleet.
    pub tokens_per_s: f64,
    /// Tokens of prompts that were in a cache.
    pub hit_percent: f64,
    /// The fullest engine's requests over the mean: the 99th percentile of all looks.
    pub imbalance: f64,
}

#[derive(Default)]
pub struct Seen {
    first_us: Vec<u64>,
    prompt_tokens: u64,
    cached_tokens: u64,
    answer_tokens: u64,
    imbalances: Vec<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "figures, not money")]
impl Seen {
    pub fn note_first_token(&mut self, after_us: u64, prompt_tokens: u64, cached_tokens: u64) {
        self.first_us.push(after_us);
        self.prompt_tokens += prompt_tokens;
        self.cached_tokens += cached_tokens;
    }

    pub fn note_answer(&mut self, tokens: u64) {
        self.answer_tokens += tokens;
    }

    pub fn note_balance(&mut self, loads: impl Iterator<Item = u64>) {
        let (mut count, mut sum, mut most) = (0_u64, 0_u64, 0);
        for load in loads {
            (count, sum, most) = (count + 1, sum + load, most.max(load));
        }
        // Of an idle fleet nothing can be said.
        if sum >= count {
            self.imbalances
                .push(most as f64 * count as f64 / sum as f64);
        }
    }

    pub fn figures(mut self, seconds: u64) -> Figures {
        self.first_us.sort_unstable();
        self.imbalances.sort_by(f64::total_cmp);
        let first_ms = |percent| at(&self.first_us, percent).map_or(0.0, |us| us as f64 / 1_000.0);
        Figures {
            requests: self.first_us.len(),
            p50_ms: first_ms(50),
            p99_ms: first_ms(99),
            tokens_per_s: self.answer_tokens as f64 / seconds as f64,
            hit_percent: 100.0 * self.cached_tokens as f64 / self.prompt_tokens.max(1) as f64,
            imbalance: at(&self.imbalances, 99).unwrap_or(0.0),
        }
    }
}

fn at<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[last * percent / 100])
}
