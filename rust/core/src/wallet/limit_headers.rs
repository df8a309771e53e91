//! What is left of an account's limits, as the headers of an answer say it.
//!
//! Two sets that do not collide: `x-ratelimit-limit`, `-remaining` and `-reset` speak of requests,
//! with the reset in seconds since the epoch; those that end in `-requests` and `-tokens` have it
//! as a duration, which most clients know.

use super::accounts::{Allowance, View};

/// A header's name and value.
pub type Header = (&'static str, String);

impl View {
    /// The headers for what is limited; none where nothing is.
    pub fn limit_headers(&self, wall_s: u64) -> Vec<Header> {
        write_limit_headers(self.requests, self.tokens, wall_s)
    }
}

/// The headers for what is limited of requests and tokens a minute.
pub fn write_limit_headers(
    requests: Option<Allowance>,
    tokens: Option<Allowance>,
    wall_s: u64,
) -> Vec<Header> {
    let mut headers = Vec::new();
    if let Some(Allowance { limit, level }) = requests {
        let (limit, remaining) = (limit.to_string(), level.remaining.to_string());
        let reset_at_s = wall_s.saturating_add(level.reset_ms().div_ceil(1_000));
        headers.push(("x-ratelimit-limit", limit.clone()));
        headers.push(("x-ratelimit-remaining", remaining.clone()));
        headers.push(("x-ratelimit-reset", reset_at_s.to_string()));
        headers.push(("x-ratelimit-limit-requests", limit));
        headers.push(("x-ratelimit-remaining-requests", remaining));
        headers.push(("x-ratelimit-reset-requests", duration(level.reset_ms())));
    }
    if let Some(Allowance { limit, level }) = tokens {
        headers.push(("x-ratelimit-limit-tokens", limit.to_string()));
        headers.push(("x-ratelimit-remaining-tokens", level.remaining.to_string()));
        headers.push(("x-ratelimit-reset-tokens", duration(level.reset_ms())));
    }
    headers
}

/// As clients know it: `17ms`, `1.5s`, `6m0s`.
fn duration(ms: u64) -> String {
    let (minutes, seconds, rest) = (ms / 60_000, ms % 60_000 / 1_000, ms % 1_000);
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let fraction = if rest == 0 {
        String::new()
    } else {
        format!(".{rest:03}")
    };
    if minutes == 0 {
        format!("{seconds}{fraction}s")
    } else {
        format!("{minutes}m{seconds}{fraction}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limiter::Level;
    use crate::wallet::Terms;

    #[test]
    fn a_duration_is_written_as_clients_read_it() {
        let cases = [
            (0, "0ms"),
            (17, "17ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (1_500, "1.500s"),
            (59_999, "59.999s"),
            (60_000, "1m0s"),
            (361_005, "6m1.005s"),
        ];
        for (ms, wanted) in cases {
            assert_eq!(duration(ms), wanted);
        }
    }

    #[test]
    fn what_is_not_limited_is_not_mentioned() {
        let level = Level {
            remaining: 19,
            reset_ns: 2_891_000_001,
        };
        let mut view = View {
            terms: Terms::default(),
            available: 0,
            in_flight: 0,
            requests: None,
            tokens: None,
        };
        assert!(view.limit_headers(1_000).is_empty());
        view.requests = Some(Allowance { limit: 20, level });
        let wanted = [
            ("x-ratelimit-limit", "20"),
            ("x-ratelimit-remaining", "19"),
            ("x-ratelimit-reset", "1003"),
            ("x-ratelimit-limit-requests", "20"),
            ("x-ratelimit-remaining-requests", "19"),
            ("x-ratelimit-reset-requests", "2.892s"),
        ];
        assert_eq!(
            view.limit_headers(1_000),
            wanted.map(|(name, value)| (name, value.to_owned()))
        );
    }
}
