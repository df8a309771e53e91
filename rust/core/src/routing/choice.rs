//! The policies: from what is known of a pool to the engine that gets a request.
//!
//! Loads are weights of [`Load`](super::Load). No policy sends a request for its prompt's or its
//! session's sake to an engine over the [`guard`]: what it would save there it would wait there.
//! Engines that are out come last, and are taken when there is nobody else: a pool is never empty
//! because of what happened to it.

use super::{Beginnings, Holder, PrefixIndex, REQUEST, Ring, mixed};

/// How an engine is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// The less loaded of two that are drawn by lot.
    PowerOfTwo,
    /// One that holds the longest beginning of the prompt.
    #[default]
    Prefix,
    /// The one that the session had before.
    Session,
}

/// How an engine stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It takes part in so many thousandths of the choices.
    Well(u64),
    /// It gets one request, to see how it fares.
    Trial,
    /// It gets nothing as long as another can.
    Out,
}

/// A pool as a decision sees it; members are numbered from 0.
pub trait Members {
    /// How many there are.
    fn count(&self) -> usize;
    /// Whether the request may go there: it was not there yet, and there is room.
    fn is_open(&self, member: usize) -> bool;
    /// How it stands now.
    fn standing(&self, member: usize) -> Standing;
    /// How busy it is now.
    fn weight(&self, member: usize) -> u64;
    /// How busy members are on average, as known a moment ago.
    fn mean_weight(&self) -> u64;
    /// Which member is the engine of a holder, if it is one and still has what it had then.
    fn holder(&self, holder: Holder) -> Option<usize>;
}

/// A request as a decision sees it.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// How to choose.
    pub policy: Policy,
    /// Of its prompt; may be empty.
    pub beginnings: &'a Beginnings,
    /// What was sent before.
    pub index: PrefixIndex<'a>,
    /// The pool's ring.
    pub ring: &'a Ring,
    /// Where its session stands, if it has one.
    pub session: Option<u64>,
    /// Monotonic.
    pub now_ms: u64,
    /// Any number, another one each time.
    pub seed: u64,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The member.
    pub member: usize,
    /// Length of the prompt's beginning that it is chosen for; 0: for another reason.
    pub held_bytes: usize,
}

/// Load that no affinity is given up for: a handful of requests is no queue.
pub const GUARD_FLOOR: u64 = 8 * REQUEST;
/// How far over the mean an engine may be and still get more for a prompt's or session's sake.
const GUARD_PERCENT: u64 = 150;
/// Bytes of a held beginning that are worth as much as one request less in the queue.
const BYTES_PER_REQUEST: u64 = 1_024;
/// Looks at two engines before all are looked at.
const ROUNDS: u64 = 4;

/// The weight from which on an engine gets nothing for a prompt's or session's sake.
pub fn guard(mean_weight: u64) -> u64 {
    (mean_weight.saturating_mul(GUARD_PERCENT) / 100).max(GUARD_FLOOR)
}

/// The member that gets the request; `None` where none is open.
pub fn choose(members: &impl Members, ask: &Ask<'_>) -> Option<Choice> {
    let other = |member| Choice {
        member,
        held_bytes: 0,
    };
    let drawn = draw(members, ask.seed);
    match ask.policy {
        Policy::PowerOfTwo => drawn.map(other),
        Policy::Session => by_session(members, ask).or(drawn).map(other),
        Policy::Prefix => by_prefix(members, ask, drawn).or(drawn.map(other)),
    }
}

/// The first member in the session's order that is not over the guard.
fn by_session(members: &impl Members, ask: &Ask<'_>) -> Option<usize> {
    let bound = guard(members.mean_weight());
    let fits = |member: &usize| is_well(members, *member) && members.weight(*member) < bound;
    ask.ring.preferred(ask.session?).find(fits)
}

/// The least loaded holder of the longest beginning that somebody holds; `None` where the one that
/// was drawn is so much less loaded that it answers sooner, or all holders are over the guard.
fn by_prefix(members: &impl Members, ask: &Ask<'_>, drawn: Option<usize>) -> Option<Choice> {
    let hashes = ask.beginnings.hashes();
    let bound = guard(members.mean_weight());
    let least = drawn.map_or(u64::MAX, |member| members.weight(member));
    for at in (0..hashes.len()).rev() {
        let holders = ask.index.holders(hashes[at], ask.now_ms);
        let known = holders.filter_map(|holder| members.holder(holder));
        let well = known.filter(|member| is_well(members, *member));
        // Equals take turns: a famous beginning must not pile up on the first of its holders.
        let ranked = well.map(|one| (members.weight(one), mixed(ask.seed ^ one as u64), one));
        let Some((weight, _, member)) = ranked.min() else {
            continue;
        };
        let bytes = Beginnings::bytes(at);
        let worth = bytes as u64 * REQUEST / BYTES_PER_REQUEST;
        if weight < bound && weight <= least.saturating_add(worth) {
            return Some(Choice {
                member,
                held_bytes: bytes,
            });
        }
    }
    None
}

fn is_well(members: &impl Members, member: usize) -> bool {
    members.is_open(member) && matches!(members.standing(member), Standing::Well(_))
}

/// The less loaded of two drawn by lot, or one that is due for its trial.
fn draw(members: &impl Members, seed: u64) -> Option<usize> {
    let count = members.count();
    if count < 2 {
        return (count == 1 && members.is_open(0)).then_some(0);
    }
    let mut seed = seed;
    let mut best: Option<(u64, usize)> = None;
    for _ in 0..ROUNDS {
        seed = mixed(seed);
        let first = below(seed, count);
        let second = (first + 1 + below(mixed(seed ^ 1), count - 1)) % count;
        for member in [first, second] {
            seed = mixed(seed ^ 2);
            match members.is_open(member).then(|| members.standing(member)) {
                Some(Standing::Trial) => return Some(member),
                Some(Standing::Well(share)) if seed % 1_000 < share => {
                    let weight = members.weight(member);
                    if best.is_none_or(|(least, _)| weight < least) {
                        best = Some((weight, member));
                    }
                }
                _ => {}
            }
        }
        if best.is_some() {
            break;
        }
    }
    best.map(|(_, member)| member)
        .or_else(|| look_at_all(members, seed))
}

/// The best of all, for a pool where hardly anybody is well.
fn look_at_all(members: &impl Members, seed: u64) -> Option<usize> {
    let count = members.count();
    let begin = below(seed, count);
    let open = (0..count)
        .map(|step| (begin + step) % count)
        .filter(|one| members.is_open(*one));
    open.min_by_key(|member| {
        let rank = match members.standing(*member) {
            Standing::Well(share) => 1_000 - share.min(1_000),
            Standing::Trial => 1_001,
            Standing::Out => 1_002,
        };
        (rank, members.weight(*member))
    })
}

/// A number below `bound`, which is not 0. Source: Lemire's reduction.
fn below(seed: u64, bound: usize) -> usize {
    let product = u128::from(seed) * bound as u128;
    usize::try_from(product >> 64).unwrap_or(0)
}
