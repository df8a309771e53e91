//! Our policies, as the gateway runs them, over the simulated fleet.

use std::sync::atomic::AtomicU64;

use tokenmill_core::routing::{
    Ask, Beginnings, Holder, Load, Members, Policy, PrefixIndex, Ring, Standing, choose, mixed,
};

use super::engine::Engine;

/// A request that wants an engine.
pub struct Asked<'a> {
    pub blocks: &'a [u64],
    pub session: u64,
    pub now_us: u64,
    pub seed: u64,
}

/// Whoever picks engines.
pub trait Picker {
    fn pick(&mut self, asked: &Asked<'_>, engines: &[Engine]) -> usize;
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
    fn pick(&mut self, asked: &Asked<'_>, engines: &[Engine]) -> usize {
        self.text.clear();
        for block in asked.blocks {
            for word in 0..32 {
                self.text.extend(mixed(*block ^ word).to_le_bytes());
            }
        }
        let beginnings = Beginnings::of(&self.text, 1);
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
        let chosen = choose(&Seen(engines), &ask).map_or(0, |choice| choice.member);
        if self.policy == Policy::Prefix {
            index.note(&beginnings, chosen, ask.now_ms);
        }
        chosen
    }
}

/// The fleet with all engines well.
struct Seen<'a>(&'a [Engine]);

impl Members for Seen<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn is_open(&self, _member: usize) -> bool {
        true
    }

    fn standing(&self, _member: usize) -> Standing {
        Standing::Well(1_000)
    }

    fn weight(&self, member: usize) -> u64 {
        let in_flight = self.0[member].requests();
        let load = Load {
            in_flight,
            ..Load::default()
        };
        load.weight()
    }

    fn mean_weight(&self) -> u64 {
        let sum: u64 = (0..self.0.len()).map(|member| self.weight(member)).sum();
        sum / self.0.len() as u64
    }

    fn holder(&self, holder: Holder) -> Option<usize> {
        Some(holder.engine)
    }
}
