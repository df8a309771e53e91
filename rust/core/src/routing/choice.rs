//! The policies: from what is known of a pool to the engine that gets a request.
//!
//! A request goes where the least has to be computed before its first token: what others wait for
//! there ([`Load::wait`]), and what is missing of its own prompt. No policy sends it for its
//! prompt's or its session's sake to an engine over the [`guard`]. Engines that are out come last,
//! and are taken when there is nobody else: a pool is never empty because of what happened to it.

use super::soonest::by_prefix;
use super::{Beginnings, Holder, Load, PrefixIndex, REQUEST, Ring, mixed};

/// How an engine is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// The less loaded of two that are drawn by lot.
    PowerOfTwo,
    /// The one that computes the prompt soonest, of those that hold a beginning of it and a few
    /// that are drawn by lot.
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
    fn load(&self, member: usize) -> Load;
    /// How busy members are, by [`Load::weight`], on average, as known a moment ago.
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
    /// Length of the prompt's beginning that it holds; 0: it is chosen for another reason.
    pub held_bytes: usize,
}

/// Load that no affinity is given up for: so many requests are no queue, an engine has a step for
/// them all. Where the mean is small, half of it would send sessions away from what they left.
pub const GUARD_FLOOR: u64 = 16 * REQUEST;
/// How many times the mean an engine may be loaded and still get more for a prompt's or session's
/// sake.
const GUARD_TIMES: u64 = 2;
/// Members drawn by lot: two are enough to keep a fleet even, a few more find an idle one for a
/// prompt that nobody holds.
const LOTS_OF_TWO: usize = 2;
const LOTS: usize = 4;
/// Draws before all are looked at.
const ROUNDS: u64 = 4;
/// The weight from which on an engine gets nothing for a prompt's or session's sake.
pub fn guard(mean_weight: u64) -> u64 {
    mean_weight.saturating_mul(GUARD_TIMES).max(GUARD_FLOOR)
}

/// The member that gets the request; `None` where none is open.
pub fn choose(members: &impl Members, ask: &Ask<'_>) -> Option<Choice> {
    let other = |member| Choice {
        member,
        held_bytes: 0,
    };
    if ask.policy == Policy::Session
        && let Some(member) = by_session(members, ask)
    {
        return Some(other(member));
    }
    let lots = if ask.policy == Policy::Prefix {
        LOTS
    } else {
        LOTS_OF_TWO
    };
    match draw(members, ask.seed, lots)? {
        Drawn::Trial(member) => Some(other(member)),
        Drawn::Least(least) if ask.policy == Policy::Prefix => Some(by_prefix(members, ask, least)),
        Drawn::Least(least) => Some(other(least.member)),
    }
}

/// The first member in the session's order that is not over the guard.
fn by_session(members: &impl Members, ask: &Ask<'_>) -> Option<usize> {
    let bound = guard(members.mean_weight());
    let fits = |member: &usize| is_well(members, *member) && members.load(*member).weight() < bound;
    ask.ring.preferred(ask.session?).find(fits)
}

/// A member and how soon it would begin to answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranked {
    pub member: usize,
    /// As [`Load::wait`].
    pub wait: u64,
    /// Equals take turns: a famous beginning must not pile up on the first of its holders.
    pub lot: u64,
}

impl Ranked {
    pub fn is_before(&self, other: &Self) -> bool {
        (self.wait, self.lot) < (other.wait, other.lot)
    }
}

pub(super) fn is_well(members: &impl Members, member: usize) -> bool {
    members.is_open(member) && matches!(members.standing(member), Standing::Well(_))
}

/// What came of drawing members by lot.
enum Drawn {
    /// One is due for its trial.
    Trial(usize),
    /// The least loaded of them.
    Least(Ranked),
}

/// Draws so many different members by lot, and again while none of them is open and well; then
/// looks at all.
fn draw(members: &impl Members, seed: u64, lots: usize) -> Option<Drawn> {
    let count = members.count();
    if count == 0 {
        return None;
    }
    let mut best: Option<Ranked> = None;
    let mut seed = seed;
    for _ in 0..ROUNDS {
        seed = mixed(seed);
        let begin = below(seed, count);
        // So far apart that none is drawn twice.
        let step = 1 + below(mixed(seed ^ 1), (count - 1) / lots);
        for lot in 0..lots.min(count) {
            let member = (begin + lot * step) % count;
            let chance = mixed(seed ^ 2 ^ (lot as u64) << 8);
            match members.is_open(member).then(|| members.standing(member)) {
                Some(Standing::Trial) => return Some(Drawn::Trial(member)),
                Some(Standing::Well(share)) if chance % 1_000 < share => {
                    let ranked = Ranked {
                        member,
                        wait: members.load(member).wait(),
                        lot: chance,
                    };
                    if best.is_none_or(|best| ranked.is_before(&best)) {
                        best = Some(ranked);
                    }
                }
                _ => {}
            }
        }
        if best.is_some() {
            break;
        }
    }
    best.or_else(|| look_at_all(members, seed))
        .map(Drawn::Least)
}

/// The best of all, for a pool where hardly anybody is well.
fn look_at_all(members: &impl Members, seed: u64) -> Option<Ranked> {
    let count = members.count();
    let begin = below(seed, count);
    let open = (0..count)
        .map(|step| (begin + step) % count)
        .filter(|one| members.is_open(*one));
    let ranked = open.map(|member| {
        let rank = match members.standing(member) {
            Standing::Well(share) => 1_000 - share.min(1_000),
            Standing::Trial => 1_001,
            Standing::Out => 1_002,
        };
        let wait = members.load(member).wait();
        let lot = 0;
        (rank, Ranked { member, wait, lot })
    });
    let best = ranked.min_by_key(|(rank, ranked)| (*rank, ranked.wait));
    best.map(|(_, ranked)| ranked)
}

/// A number below `bound`; 0 for 0. Source: Lemire's reduction.
fn below(seed: u64, bound: usize) -> usize {
    let product = u128::from(seed) * bound as u128;
    usize::try_from(product >> 64).unwrap_or(0)
}
