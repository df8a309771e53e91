//! The engines that serve one model, and what is known of them when one is to be chosen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokenmill_core::routing::health::{Cause, Pace, slowest};
use tokenmill_core::routing::{
    Ask, Beginnings, Holder, Load, Members, Policy, Ring, Standing, Tail, choose, mixed,
};

use super::fleet::Engine;
use super::gate::Place;
use crate::clock;
use crate::segment::Segment;

/// How old the mean load may be.
const MEAN_MS: u64 = 20;
/// Engines that it is taken of, others each time: a thousand take as long as twenty choices.
const MEAN_OF: usize = 64;

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

/// An engine that was chosen, and why.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Chosen {
    slot: usize,
    prompt_bytes: usize,
    held_bytes: usize,
}

impl Chosen {
    /// Of a prompt of which it is not known who holds what.
    pub fn nobody(prompt_bytes: usize) -> Self {
        Self {
            slot: usize::MAX,
            prompt_bytes,
            held_bytes: 0,
        }
    }

    /// Bytes of the prompt that this engine has to compute, as far as is known.
    pub fn missing_bytes(&self, slot: usize) -> u64 {
        let held_bytes = if slot == self.slot {
            self.held_bytes
        } else {
            0
        };
        self.prompt_bytes.saturating_sub(held_bytes) as u64
    }
}

/// A pool of one fleet.
pub(super) struct Pool {
    policy: Policy,
    /// By slot.
    engines: Vec<Arc<Engine>>,
    ring: Ring,
    mean: AtomicU64,
    mean_ms: AtomicU64,
    /// How late its streams begin, in this worker.
    tail: Mutex<Tail>,
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
            tail: Mutex::default(),
        }
    }

    /// Goes on with what was learnt of one that had some of its engines.
    pub fn following(self, before: Option<&Self>) -> Self {
        let is_known = |engine: &Arc<Engine>| {
            let same = |other: &Arc<Engine>| Arc::ptr_eq(engine, other);
            before.is_some_and(|pool| pool.engines.iter().any(same))
        };
        if let Some(before) = before.filter(|_| self.engines.iter().any(is_known)) {
            *self.tail() = before.tail().clone();
        }
        self
    }

    /// How late its streams begin.
    pub fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
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
                Beginnings::of_request(body, seed)
            }
            Some(_) => Beginnings::unknown(body.len()),
            None => Beginnings::default(),
        }
    }

    /// The engine that the policy chooses of those that were not tried and have room, and why.
    pub fn choose(
        &self,
        segment: &Segment,
        wish: &Wish,
        beginnings: &Beginnings,
        tried: &[usize],
    ) -> Option<(&Arc<Engine>, Chosen)> {
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
        let choice = choose(&now, &ask)?;
        let engine = &self.engines[choice.member];
        ask.index.note(beginnings, engine.slot(), now_ms);
        segment.note_engine_asked(engine.slot(), now_ms);
        let chosen = Chosen {
            slot: engine.slot(),
            prompt_bytes: beginnings.prompt_bytes(),
            held_bytes: choice.held_bytes,
        };
        Some((engine, chosen))
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

/// Bytes of the prompt that the engine of a place has to compute.
pub(super) fn missing_bytes(
    choice: Option<(&Arc<Engine>, Chosen)>,
    beginnings: &Beginnings,
    place: &Place,
) -> u64 {
    let nobody = || Chosen::nobody(beginnings.prompt_bytes());
    let chosen = choice.map_or_else(nobody, |(_, chosen)| chosen);
    chosen.missing_bytes(place.engine().slot())
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

    fn load(&self, member: usize) -> Load {
        self.segment.engine_load(self.slot(member), self.now_ms)
    }

    fn mean_weight(&self) -> u64 {
        let pool = self.pool;
        if self.now_ms.abs_diff(pool.mean_ms.load(Ordering::Relaxed)) < MEAN_MS {
            return pool.mean.load(Ordering::Relaxed);
        }
        let count = self.count();
        let begin = usize::try_from(mixed(self.now_ms) >> 32).unwrap_or(0);
        let looks = count.min(MEAN_OF);
        let members = (0..looks).map(|look| (begin + look * count / looks) % count);
        let sum: u64 = members.map(|member| self.load(member).weight()).sum();
        let mean = sum / looks.max(1) as u64;
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
