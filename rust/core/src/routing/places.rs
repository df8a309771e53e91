//! Which of several engines with free places gets who waited for one.

use super::mixed;

/// One engine that could take the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The engine's slot.
    pub engine: usize,
    /// Requests it has now, over all workers of the machine.
    pub in_flight: u64,
    /// It is left out for now: taken only when no other is left.
    pub is_suspect: bool,
}

/// The engine with the fewest requests in flight; `seed` decides between equals.
///
/// Suspects come last, whatever their load: a dead engine always has none. Cost: two passes.
pub fn pick(candidates: &[Candidate], seed: u64) -> Option<usize> {
    let rank = |candidate: &Candidate| (candidate.is_suspect, candidate.in_flight);
    let best = candidates.iter().map(rank).min()?;
    let equals = || candidates.iter().filter(|one| rank(one) == best);
    let count = equals().count().max(1) as u64;
    let chosen = usize::try_from(mixed(seed) % count).unwrap_or(0);
    equals().nth(chosen).map(|one| one.engine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(engine: usize, in_flight: u64, is_suspect: bool) -> Candidate {
        Candidate {
            engine,
            in_flight,
            is_suspect,
        }
    }

    #[test]
    fn an_empty_pool_has_no_engine() {
        assert_eq!(pick(&[], 7), None);
    }

    #[test]
    fn a_suspect_is_taken_when_nothing_else_is_left() {
        let idle_suspect = candidate(0, 0, true);
        assert_eq!(pick(&[idle_suspect, candidate(1, 9, false)], 1), Some(1));
        assert_eq!(pick(&[idle_suspect], 1), Some(0));
    }

    #[test]
    fn equals_share_the_work() {
        let pool = [0, 1, 2].map(|engine| candidate(engine, 4, false));
        let mut taken = [0_u32; 3];
        for seed in 0..3000 {
            taken[pick(&pool, seed).unwrap()] += 1;
        }
        assert!(
            taken.iter().all(|count| (850..1150).contains(count)),
            "{taken:?}"
        );
    }

    proptest! {
        #[test]
        fn nobody_of_the_pool_is_better_than_the_one_picked(
            loads in proptest::collection::vec((0_u64..5, any::<bool>()), 1..12),
            seed: u64,
        ) {
            let pool: Vec<_> = loads
                .iter()
                .enumerate()
                .map(|(engine, (load, suspect))| candidate(engine, *load, *suspect))
                .collect();
            let picked = pool[pick(&pool, seed).unwrap()];
            for other in &pool {
                prop_assert!(
                    (picked.is_suspect, picked.in_flight) <= (other.is_suspect, other.in_flight)
                );
            }
        }
    }
}
