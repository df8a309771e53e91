//! The engines that serve one model, and what is known of them when one is to be chosen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokenmill_core::routing::health::{Cause, Pace, slowest};
use tokenmill_core::routing::{
    Ask, Beginnings, Holder, Members, Policy, Ring, Standing, choose, mixed, prompt_of,
};

use super::fleet::Engine;
use crate::clock;
use crate::segment::Segment;

/// How old the mean load may be: to sum up a thousand engines takes as long as forty choices.
const MEAN_MS: u64 = 20;

/// What a request goes by in the choice of its engine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// Whose prompt it is; `None`: a request of the house's own, which says nothing of prompts.
    pub owner: Option<u64>,
    /// Where its session stands, if it has one.
    pub session: Option<u64>,
    /// Another one for each request of each worker.
    pub seed: u64,
}

/// A pool of one fleet.
pub(super) struct Pool {
    policy: Policy,
    /// By slot.
    engines: Vec<Arc<Engine>>,
    ring: Ring,
    mean: AtomicU64,
    mean_ms: AtomicU64,
}

impl Pool {
    pub fn new(policy: Policy, mut engines: Vec<Arc<Engine>>) -> Self {
        engines.sort_by_key(|engine| engine.slot());
        let ring = match policy {
            Policy::Session => Ring::new(engines.iter().map(|engine| engine.url())),
            Policy::PowerOfTwo | Policy::Prefix => Ring::default(),
        };
        Self {
            policy,
            engines,
            ring,
            mean: AtomicU64::new(0),
            mean_ms: AtomicU64::new(0),
        }
    }

    pub fn engines(&self) -> &[Arc<Engine>] {
        &self.engines
    }

    /// Whether some engine takes only a number of requests at once.
    pub fn has_places(&self) -> bool {
        self.engines.iter().any(|engine| engine.places() > 0)
    }

    /// Of a prompt, where they matter to the choice.
    pub fn beginnings(&self, segment: &Segment, wish: &Wish, body: &[u8]) -> Beginnings {
        let is_choice = self.policy == Policy::Prefix && self.engines.len() > 1;
        match wish.owner {
            Some(owner) if is_choice => {
                let seed = mixed(segment.incarnation() ^ mixed(owner));
                Beginnings::of(prompt_of(body), seed)
            }
            _ => Beginnings::default(),
        }
    }

    /// The engine that the policy chooses of those that were not tried and have room.
    pub fn choose(
        &self,
        segment: &Segment,
        wish: &Wish,
        beginnings: &Beginnings,
        tried: &[usize],
    ) -> Option<&Arc<Engine>> {
        let now_ms = clock::monotonic_ms();
        let ask = Ask {
            policy: self.policy,
            beginnings,
            index: segment.prefix_index(),
            ring: &self.ring,
            session: wish.session,
            now_ms,
            seed: mixed(wish.seed ^ tried.len() as u64),
        };
        let now = PoolNow {
            pool: self,
            segment,
            tried,
            now_ms,
        };
        let engine = &self.engines[choose(&now, &ask)?.member];
        ask.index.note(beginnings, engine.slot(), now_ms);
        segment.note_engine_asked(engine.slot(), now_ms);
        Some(engine)
    }

    fn member(&self, slot: usize) -> Option<usize> {
        let by_slot = |engine: &Arc<Engine>| engine.slot();
        self.engines.binary_search_by_key(&slot, by_slot).ok()
    }

    /// Leaves an engine out for what many requests met there, unless that would leave out most of
    /// the pool; whether it was.
    pub fn exclude(&self, segment: &Segment, slot: usize, cause: Cause, now_ms: u64) -> bool {
        let is_out = |engine: &&Arc<Engine>| {
            let standing = segment.engine_standing(engine.slot(), now_ms);
            engine.slot() != slot && !matches!(standing, Standing::Well(_))
        };
        let out = self.engines.iter().filter(is_out).count() + 1;
        out * 2 <= self.engines.len() && segment.exclude_engine(slot, cause, now_ms)
    }

    /// Leaves out the engine that is far slower than the pool, if one is; its slot.
    pub fn exclude_slowest(&self, segment: &Segment, now_ms: u64) -> Option<usize> {
        let pace = |engine: &Arc<Engine>| segment.engine_pace(engine.slot());
        let paces: Vec<Pace> = self.engines.iter().map(pace).collect();
        let slot = self.engines[slowest(&paces, now_ms)?].slot();
        self.exclude(segment, slot, Cause::Slow, now_ms)
            .then_some(slot)
    }
}

/// The engines with the chosen one first.
pub(super) fn preferring(
    chosen: Option<&Arc<Engine>>,
    engines: impl IntoIterator<Item = impl std::borrow::Borrow<Arc<Engine>>>,
) -> Vec<Arc<Engine>> {
    let is_other = |engine: &Arc<Engine>| !chosen.is_some_and(|one| Arc::ptr_eq(one, engine));
    let all = engines
        .into_iter()
        .map(|engine| Arc::clone(engine.borrow()));
    chosen
        .cloned()
        .into_iter()
        .chain(all.filter(is_other))
        .collect()
}

/// A pool at the time of one choice.
struct PoolNow<'a> {
    pool: &'a Pool,
    segment: &'a Segment,
    /// Slots that the request has been sent to.
    tried: &'a [usize],
    now_ms: u64,
}

impl PoolNow<'_> {
    fn slot(&self, member: usize) -> usize {
        self.pool.engines[member].slot()
    }
}

impl Members for PoolNow<'_> {
    fn count(&self) -> usize {
        self.pool.engines.len()
    }

    fn is_open(&self, member: usize) -> bool {
        let engine = &self.pool.engines[member];
        let has_room = || self.segment.engine_in_flight(engine.slot()) < engine.places();
        !self.tried.contains(&engine.slot()) && (engine.places() == 0 || has_room())
    }

    fn standing(&self, member: usize) -> Standing {
        self.segment.engine_standing(self.slot(member), self.now_ms)
    }

    fn weight(&self, member: usize) -> u64 {
        self.segment
            .engine_load(self.slot(member), self.now_ms)
            .weight()
    }

    fn mean_weight(&self) -> u64 {
        let pool = self.pool;
        if self.now_ms.abs_diff(pool.mean_ms.load(Ordering::Relaxed)) < MEAN_MS {
            return pool.mean.load(Ordering::Relaxed);
        }
        let sum: u64 = (0..self.count()).map(|member| self.weight(member)).sum();
        let mean = sum / self.count().max(1) as u64;
        pool.mean.store(mean, Ordering::Relaxed);
        pool.mean_ms.store(self.now_ms, Ordering::Relaxed);
        mean
    }

    /// Not one that came back since: its cache is empty.
    fn holder(&self, holder: Holder) -> Option<usize> {
        let member = self.pool.member(holder.engine)?;
        let since_ms = self.segment.engine_since_ms(holder.engine);
        let held_ms = self.now_ms.saturating_sub(holder.age_ms);
        (since_ms == 0 || held_ms > since_ms).then_some(member)
    }
}
