//! Sessions on engines: consistent hashing, so that an engine more or less moves few of them.
//!
//! Each engine is one point of a ring; a session asks at several points and prefers the engine that
//! one of them is nearest to. That balances like a hundred points an engine would, in the memory
//! of one. Source: "Multi-probe consistent hashing", Appleton and O'Reilly, 2015.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;

use super::mixed;

/// Points that a session asks at. With 21 the fullest of many engines has a tenth more than the
/// mean; fewer would do, for loads are bounded anyway.
const PROBES: usize = 16;

/// The engines of a pool by the hash of their names.
#[derive(Debug, Clone, Default)]
pub struct Ring {
    points: Vec<(u64, u32)>,
}

impl Ring {
    /// The ring of members with these names, numbered in their order.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let point = |name: &str| FixedState::with_seed(1).hash_one(name.as_bytes());
        let mut points: Vec<_> = names.into_iter().map(point).zip(0..).collect();
        points.sort_unstable();
        Self { points }
    }

    /// Members in the order that this session prefers them in: at most sixteen, some perhaps twice.
    pub fn preferred(&self, session: u64) -> impl Iterator<Item = usize> {
        let mut near = [(u64::MAX, u32::MAX); PROBES];
        let mut point = session;
        for found in &mut near {
            if self.points.is_empty() {
                break;
            }
            point = mixed(point);
            let next = self.points.partition_point(|(at, _)| *at < point);
            let (at, member) = self.points[next % self.points.len()];
            *found = (at.wrapping_sub(point), member);
        }
        near.sort_unstable();
        let known = near.into_iter().filter(|(_, member)| *member != u32::MAX);
        known.map(|(_, member)| member as usize)
    }
}

/// Where a session stands; `owner`: whose it is, for two accounts may use the same name.
pub fn session_point(session: &str, owner: u64) -> u64 {
    FixedState::with_seed(owner).hash_one(session.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count)
            .map(|at| format!("http://10.0.0.{at}:8000"))
            .collect()
    }

    fn ring(names: &[String]) -> Ring {
        Ring::new(names.iter().map(String::as_str))
    }

    fn first(ring: &Ring, session: u64) -> usize {
        ring.preferred(mixed(session)).next().unwrap()
    }

    #[test]
    fn an_engine_that_goes_moves_its_own_sessions_alone() {
        let before = names(20);
        let mut after = before.clone();
        after.remove(7);
        let (ring_before, ring_after) = (ring(&before), ring(&after));
        for session in 0..5_000 {
            let (was, is) = (first(&ring_before, session), first(&ring_after, session));
            assert!(was == 7 || before[was] == after[is]);
        }
    }

    #[test]
    fn sessions_are_spread_evenly_enough() {
        let (engines, sessions) = (50, 50_000_u32);
        let ring = ring(&names(engines));
        let mut counts = vec![0_u32; engines];
        (0..u64::from(sessions)).for_each(|session| counts[first(&ring, session)] += 1);
        let most = counts.iter().max().unwrap();
        assert!(*most < sessions / 50 * 3 / 2, "{counts:?}");
    }

    #[test]
    fn an_empty_ring_prefers_nobody_and_two_accounts_differ() {
        assert_eq!(Ring::default().preferred(3).count(), 0);
        assert_ne!(session_point("a", 1), session_point("a", 2));
        assert_eq!(session_point("a", 1), session_point("a", 1));
    }
}
