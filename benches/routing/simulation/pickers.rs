//! Our policies, as the gateway runs them, over the simulated fleet.

use std::sync::atomic::AtomicU64;

use tokenmill_core::routing::{
    Ask, Beginnings, Choice, Holder, Load, Members, Policy, PrefixIndex, Ring, Standing, choose,
    mixed,
};

use super::engine::Engine;

/// A request that wants an engine.
pub struct Asked<'a> {
    pub engines: &'a [Engine],
    pub blocks: &'a [u64],
    pub session: u64,
    pub now_us: u64,
    pub seed: u64,
}

/// Whoever picks engines.
pub trait Picker {
    /// The engine, and how many bytes of the prompt it is thought to have to compute.
    fn pick(&mut self, asked: &Asked<'_>) -> (usize, u64);
}

/// One of ours.
pub struct Ours {
    policy: Policy,
    words: Vec<AtomicU64>,
    ring: Ring,
    text: Vec<u8>,
}

impl Ours {
    /// With a table of so many words.
    pub fn new(policy: Policy, engines: usize, words: usize) -> Self {
        let names: Vec<String> = (0..engines)
            .map(|at| format!("http://engine-{at}"))
            .collect();
        let zero = || AtomicU64::new(0);
        Self {
            policy,
            words: std::iter::repeat_with(zero).take(words).collect(),
            ring: Ring::new(names.iter().map(String::as_str)),
            text: Vec::new(),
        }
    }
}

impl Picker for Ours {
    fn pick(&mut self, asked: &Asked<'_>) -> (usize, u64) {
        self.text.clear();
        for block in asked.blocks {
            for word in 0..32 {
                self.text.extend(mixed(*block ^ word).to_le_bytes());
            }
        }
        let beginnings = if self.policy == Policy::Prefix {
            Beginnings::of(&self.text, 1)
        } else {
            Beginnings::unknown(self.text.len())
        };
        let index = PrefixIndex::new(&self.words);
        let ask = Ask {
            policy: self.policy,
            beginnings: &beginnings,
            index,
            ring: &self.ring,
            session: Some(asked.session),
            now_ms: asked.now_us / 1_000,
            seed: mixed(asked.seed),
        };
        let choice = choose(&Seen(asked), &ask).unwrap_or(Choice {
            member: 0,
            held_bytes: 0,
        });
        index.note(&beginnings, choice.member, ask.now_ms);
        let missing = self.text.len() - choice.held_bytes;
        (choice.member, missing as u64)
    }
}

/// The fleet with all engines well.
struct Seen<'a>(&'a Asked<'a>);

impl Members for Seen<'_> {
    fn count(&self) -> usize {
        self.0.engines.len()
    }

    fn is_open(&self, _member: usize) -> bool {
        true
    }

    fn standing(&self, _member: usize) -> Standing {
        Standing::Well(1_000)
    }

    fn load(&self, member: usize) -> Load {
        self.0.engines[member].load(self.0.now_us)
    }

    fn mean_weight(&self) -> u64 {
        let engines = self.0.engines;
        let sum: u64 = (0..engines.len())
            .map(|member| self.load(member).weight())
            .sum();
        sum / engines.len() as u64
    }

    fn holder(&self, holder: Holder) -> Option<usize> {
        Some(holder.engine)
    }
}
