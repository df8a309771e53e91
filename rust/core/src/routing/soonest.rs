//! Where a prompt is computed soonest: the search of the policy `prefix`.
//!
//! Queued and missing bytes are counted in one unit. Looked at are a few of those that hold a
//! beginning of the prompt, the longest first; whoever was drawn by lot stands for all the others.

use super::choice::{Ranked, is_well};
use super::prefix_index::ENGINES_BOUND;
use super::{Ask, BYTES_PER_WEIGHT, Beginnings, Choice, Holder, Members, guard, mixed};

/// What a byte to be computed for this request counts more than one that it would wait for, in
/// halves: it also takes room in a cache where it was not yet. By the simulator; with twice as much
/// agents' sessions crowd.
const OWN_HALVES: u64 = 3;
/// Engines that hold some beginning of a prompt, of which the load is looked at.
const HOLDERS_MAX: usize = 24;

/// The one that computes the prompt soonest: of its holders that are not over the guard, and the
/// least loaded of those that were drawn. Holders of longer beginnings are looked at first, until
/// those of a shorter one could not be better even if they were idle.
pub(super) fn by_prefix(members: &impl Members, ask: &Ask<'_>, least: Ranked) -> Choice {
    let hashes = ask.beginnings.hashes();
    ask.index.fetch(hashes);
    let mut search = Search::new(members, ask, least);
    let mut is_shared = false;
    for (at, hash) in hashes.iter().enumerate().rev() {
        let held_bytes = Beginnings::bytes(at);
        if !search.may_gain(held_bytes) {
            break;
        }
        let holders = ask.index.holders(*hash, ask.now_ms);
        if !is_shared && holders.are_many {
            is_shared = true;
            for holder in ask.index.further_holders(*hash, ask.seed, ask.now_ms) {
                search.look_at(holder, held_bytes, is_shared);
            }
        }
        for holder in holders {
            search.look_at(holder, held_bytes, is_shared);
        }
    }
    Choice {
        member: search.best.member,
        held_bytes: search.best_held_bytes,
    }
}

struct Search<'a, M> {
    members: &'a M,
    ask: &'a Ask<'a>,
    /// The weight from which on nobody is taken for what it holds.
    bound: u64,
    best: Ranked,
    best_held_bytes: usize,
    /// Engines that were looked at, a bit each.
    known: [u64; ENGINES_BOUND / 64],
    count: usize,
}

impl<'a, M: Members> Search<'a, M> {
    fn new(members: &'a M, ask: &'a Ask<'a>, least: Ranked) -> Self {
        let wait = least.wait.saturating_add(own_wait(ask, 0));
        Self {
            members,
            ask,
            bound: guard(members.mean_weight()),
            best: Ranked { wait, ..least },
            best_held_bytes: 0,
            known: [0; ENGINES_BOUND / 64],
            count: 0,
        }
    }

    /// Whether an idle holder of so much would be better than the best one.
    fn may_gain(&self, held_bytes: usize) -> bool {
        own_wait(self.ask, held_bytes) < self.best.wait && self.count < HOLDERS_MAX
    }

    fn look_at(&mut self, holder: Holder, held_bytes: usize, is_shared: bool) {
        let known = &mut self.known[holder.engine / 64];
        let bit = 1 << (holder.engine % 64);
        if self.count == HOLDERS_MAX || *known & bit != 0 {
            return;
        }
        *known |= bit;
        self.count += 1;
        let member = self.members.holder(holder);
        let Some(member) = member.filter(|one| is_well(self.members, *one)) else {
            return;
        };
        let load = self.members.load(member);
        let wait = if is_shared {
            load.wait()
        } else {
            load.wait_at_home()
        };
        let ranked = Ranked {
            member,
            wait: wait.saturating_add(own_wait(self.ask, held_bytes)),
            lot: mixed(self.ask.seed ^ member as u64),
        };
        if load.weight() < self.bound && ranked.is_before(&self.best) {
            (self.best, self.best_held_bytes) = (ranked, held_bytes);
        }
    }
}

/// How long a request waits for its own prompt where so much of it is held.
fn own_wait(ask: &Ask<'_>, held_bytes: usize) -> u64 {
    let missing = ask.beginnings.prompt_bytes().saturating_sub(held_bytes) as u64;
    missing * OWN_HALVES / 2 / BYTES_PER_WEIGHT
}
