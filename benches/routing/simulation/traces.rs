//! What clients send: sessions of turns, each a prompt that begins with all before it.

use std::sync::Arc;

use tokenmill_core::routing::mixed;

use super::engine::BLOCK_TOKENS;

/// A turn: the prompt's blocks, and those with the answer.
pub struct Turn {
    pub prompt: Arc<[u64]>,
    pub whole: Arc<[u64]>,
    pub answer_tokens: u64,
}

/// A kind of traffic. Lengths are means, in blocks of 64 tokens.
#[derive(Debug, Clone, Copy)]
pub struct Trace {
    pub name: &'static str,
    pub seconds: u64,
    /// Sessions that begin, a second and engine.
    pub sessions_per_s: f64,
    /// The most sessions begin in bursts: so many times the rate in one fifth of the time.
    pub burst: f64,
    /// Texts that many sessions begin with, chosen by Zipf's law, and their length.
    pub shared: usize,
    pub shared_blocks: u64,
    /// Turns of a session, and the share of sessions with ten times as many, in percent.
    pub turns: u64,
    pub long_percent: u64,
    pub turn_blocks: u64,
    pub answer_tokens: u64,
    pub pause_s: f64,
}

/// All kinds, each at about three quarters of what a fleet can do without any cache hits.
pub const TRACES: [Trace; 5] = [
    Trace {
        name: "bursty",
        seconds: 120,
        sessions_per_s: 3.2,
        burst: 3.0,
        shared: 40,
        shared_blocks: 6,
        turns: 1,
        long_percent: 0,
        turn_blocks: 40,
        answer_tokens: 200,
        pause_s: 0.0,
    },
    Trace {
        name: "multi-turn",
        seconds: 120,
        sessions_per_s: 0.6,
        burst: 1.0,
        shared: 20,
        shared_blocks: 8,
        turns: 6,
        long_percent: 5,
        turn_blocks: 10,
        answer_tokens: 220,
        pause_s: 4.0,
    },
    Trace {
        name: "shared system prompts",
        seconds: 120,
        sessions_per_s: 4.0,
        burst: 1.5,
        shared: 60,
        shared_blocks: 60,
        turns: 1,
        long_percent: 0,
        turn_blocks: 8,
        answer_tokens: 150,
        pause_s: 0.0,
    },
    Trace {
        name: "agents",
        seconds: 120,
        sessions_per_s: 0.16,
        burst: 1.0,
        shared: 10,
        shared_blocks: 50,
        turns: 12,
        long_percent: 8,
        turn_blocks: 16,
        answer_tokens: 90,
        pause_s: 1.0,
    },
    Trace {
        name: "Zipf documents",
        seconds: 120,
        sessions_per_s: 2.4,
        burst: 1.5,
        shared: 2_000,
        shared_blocks: 90,
        turns: 2,
        long_percent: 0,
        turn_blocks: 4,
        answer_tokens: 120,
        pause_s: 5.0,
    },
];

/// One client's turns.
pub struct Session {
    pub id: u64,
    pub begins_us: u64,
    turns: std::vec::IntoIter<(u64, u64)>,
    text: Vec<u64>,
    lot: Lot,
    pause_s: f64,
}

impl Session {
    /// The next turn, if there is one.
    pub fn next_turn(&mut self) -> Option<Turn> {
        let (blocks, answer_tokens) = self.turns.next()?;
        self.write(blocks);
        let prompt: Arc<[u64]> = self.text.as_slice().into();
        self.write(answer_tokens / BLOCK_TOKENS);
        Some(Turn {
            prompt,
            whole: self.text.as_slice().into(),
            answer_tokens,
        })
    }

    /// How long the client thinks.
    pub fn pause_us(&mut self) -> u64 {
        microseconds(self.lot.about(self.pause_s))
    }

    fn write(&mut self, blocks: u64) {
        for _ in 0..blocks {
            let before = self.text.last().copied().unwrap_or(0);
            self.text.push(mixed(before ^ self.lot.next()));
        }
    }
}

impl Trace {
    /// The sessions of a fleet of so many engines.
    pub fn sessions(&self, engines: usize, seed: u64) -> Vec<Session> {
        let mut lot = Lot(mixed(seed));
        let shared = Zipf::new(self.shared);
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = self.sessions_per_s * engines as f64;
        let mut sessions = Vec::new();
        let mut now_us = 0;
        while now_us < self.seconds * 1_000_000 {
            // Of five seconds one is a burst; the others make up for it.
            let is_burst = now_us / 1_000_000 % 5 == 0;
            let factor = if is_burst {
                self.burst
            } else {
                (5.0 - self.burst) / 4.0
            };
            now_us += microseconds(lot.about(1.0 / (rate * factor))).max(1);
            sessions.push(self.session(now_us, &shared, &mut lot));
        }
        sessions
    }

    fn session(&self, begins_us: u64, shared: &Zipf, lot: &mut Lot) -> Session {
        let document = shared.draw(lot) as u64;
        let mut text = Vec::new();
        for block in 0..self.shared_blocks {
            let before = text.last().copied().unwrap_or(document + 1);
            text.push(mixed(before ^ block));
        }
        let is_long = lot.next() % 100 < self.long_percent;
        let turns = if is_long { self.turns * 10 } else { self.turns };
        let turns: Vec<_> = (0..turns)
            .map(|_| (lot.whole(self.turn_blocks), lot.whole(self.answer_tokens)))
            .collect();
        Session {
            id: lot.next(),
            begins_us,
            turns: turns.into_iter(),
            text,
            lot: Lot(lot.next()),
            pause_s: self.pause_s,
        }
    }
}

/// Numbers that look like chance.
struct Lot(u64);

impl Lot {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mixed(self.0)
    }

    #[expect(clippy::cast_precision_loss, reason = "chance")]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Exponentially distributed, with this mean.
    fn about(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// The same as a whole number, from 1 to six times the mean.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small positive numbers"
    )]
    fn whole(&mut self, mean: u64) -> u64 {
        (self.about(mean as f64) as u64).clamp(1, mean * 6)
    }
}

/// Zipf's law: the second is half as frequent as the first.
struct Zipf(Vec<f64>);

impl Zipf {
    #[expect(clippy::cast_precision_loss, reason = "ranks")]
    fn new(count: usize) -> Self {
        let mut sum = 0.0;
        let shares = (1..=count).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self(shares.collect())
    }

    fn draw(&self, lot: &mut Lot) -> usize {
        let sum = self.0.last().copied().unwrap_or(0.0);
        let at = lot.unit() * sum;
        self.0
            .partition_point(|share| *share < at)
            .min(self.0.len().saturating_sub(1))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive and small"
)]
fn microseconds(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}
