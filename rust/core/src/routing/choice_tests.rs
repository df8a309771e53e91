//! The laws of every choice, over pools of any load and standing.

use std::sync::atomic::AtomicU64;

use proptest::prelude::*;

use super::{
    Ask, BYTES_PER_WEIGHT, Beginnings, Choice, Holder, Load, Members, Policy, PrefixIndex, REQUEST,
    Ring, Standing, choose, guard, session_point,
};

/// So late that what was noted in the first second makes nothing famous.
const NOW_MS: u64 = 20_000;

#[derive(Debug, Clone)]
struct Pool {
    /// Of each member, in requests.
    requests: Vec<u64>,
    unread: Vec<u64>,
    recent: Vec<u64>,
    standings: Vec<Standing>,
    open: Vec<bool>,
    words: std::sync::Arc<Vec<AtomicU64>>,
    ring: Ring,
}

impl Pool {
    fn of(requests: &[u64]) -> Self {
        let names: Vec<String> = (0..requests.len())
            .map(|at| format!("engine {at}"))
            .collect();
        let zero = || AtomicU64::new(0);
        Self {
            requests: requests.to_vec(),
            unread: vec![0; requests.len()],
            recent: vec![0; requests.len()],
            standings: vec![Standing::Well(1_000); requests.len()],
            open: vec![true; requests.len()],
            words: std::sync::Arc::new(std::iter::repeat_with(zero).take(8_192).collect()),
            ring: Ring::new(names.iter().map(String::as_str)),
        }
    }

    fn index(&self) -> PrefixIndex<'_> {
        PrefixIndex::new(&self.words)
    }

    fn choose(&self, policy: Policy, prompt: &Beginnings, seed: u64) -> Option<Choice> {
        let ask = Ask {
            policy,
            beginnings: prompt,
            index: self.index(),
            ring: &self.ring,
            session: Some(session_point("a session", 1)),
            now_ms: NOW_MS,
            seed,
        };
        choose(self, &ask)
    }
}

impl Members for Pool {
    fn count(&self) -> usize {
        self.requests.len()
    }

    fn is_open(&self, member: usize) -> bool {
        self.open[member]
    }

    fn standing(&self, member: usize) -> Standing {
        self.standings[member]
    }

    fn load(&self, member: usize) -> Load {
        Load {
            in_flight: self.requests[member],
            unread_bytes: self.unread[member],
            recent_bytes: self.recent[member],
            ..Load::default()
        }
    }

    fn mean_weight(&self) -> u64 {
        self.requests.iter().sum::<u64>() * REQUEST / self.requests.len().max(1) as u64
    }

    fn holder(&self, holder: Holder) -> Option<usize> {
        (holder.engine < self.requests.len()).then_some(holder.engine)
    }
}

const POLICIES: [Policy; 3] = [Policy::PowerOfTwo, Policy::Prefix, Policy::Session];

fn prompt(bytes: usize) -> Beginnings {
    Beginnings::of(&vec![b'p'; bytes], 1)
}

fn member(choice: Option<Choice>) -> usize {
    choice.expect("somebody is open").member
}

#[test]
fn an_empty_pool_has_no_engine_and_a_pool_of_one_has_it_whatever_happened() {
    for policy in POLICIES {
        assert_eq!(Pool::of(&[]).choose(policy, &prompt(0), 7), None);
        let mut alone = Pool::of(&[900]);
        alone.standings[0] = Standing::Out;
        assert_eq!(member(alone.choose(policy, &prompt(900), 7)), 0);
        alone.open[0] = false;
        assert_eq!(alone.choose(policy, &prompt(900), 7), None);
    }
}

#[test]
fn of_two_engines_the_less_loaded_is_taken_and_equals_share_the_work() {
    let uneven = Pool::of(&[3, 1]);
    assert!((0..100).all(|seed| member(uneven.choose(Policy::PowerOfTwo, &prompt(0), seed)) == 1));
    let even = Pool::of(&[5; 4]);
    let mut taken = [0_u32; 4];
    (0..4_000).for_each(|seed| taken[member(even.choose(Policy::Prefix, &prompt(0), seed))] += 1);
    assert!(
        taken.iter().all(|count| (850..1_150).contains(count)),
        "{taken:?}"
    );
}

#[test]
fn a_prompt_goes_where_its_beginning_is_until_that_engine_is_over_the_guard() {
    let mut pool = Pool::of(&[0; 8]);
    pool.index().note(&prompt(3_000), 5, 900);
    let choice = pool.choose(Policy::Prefix, &prompt(4_000), 3).unwrap();
    assert_eq!((choice.member, choice.held_bytes), (5, 2_816));
    pool.requests = vec![10; 8];
    pool.requests[5] = 11;
    assert_eq!(member(pool.choose(Policy::Prefix, &prompt(4_000), 3)), 5);
    pool.requests[5] = 30;
    let spread: std::collections::HashSet<usize> = (0..200)
        .map(|seed| member(pool.choose(Policy::Prefix, &prompt(4_000), seed)))
        .collect();
    assert_eq!(spread.len(), 7, "all the others take what it cannot");
}

#[test]
fn a_prompt_waits_for_others_where_that_is_shorter_than_to_compute_it_elsewhere() {
    let mut pool = Pool::of(&[0; 4]);
    pool.index().note(&prompt(4_000), 2, 900);
    let taken = |pool: &Pool| member(pool.choose(Policy::Prefix, &prompt(4_000), 3));
    pool.unread[2] = 5_000;
    assert_eq!(
        taken(&pool),
        2,
        "5,000 bytes wait, 3,840 and a half more are spared"
    );
    pool.unread[2] = 6_000;
    assert_ne!(taken(&pool), 2);
    pool.unread = vec![9_000; 4];
    assert_eq!(taken(&pool), 2);
}

#[test]
fn a_long_beginning_is_weighed_against_a_short_one_on_an_idle_engine() {
    let mut pool = Pool::of(&[0; 8]);
    pool.index().note(&prompt(2_048), 1, 900);
    pool.index().note(&prompt(4_096), 6, 900);
    let choice = |pool: &Pool| {
        let choice = pool.choose(Policy::Prefix, &prompt(4_096), 11).unwrap();
        (choice.member, choice.held_bytes)
    };
    assert_eq!(choice(&pool), (6, 4_096));
    pool.unread[6] = 3 * 1_024 + BYTES_PER_WEIGHT;
    assert_eq!(choice(&pool), (1, 2_048));
}

#[test]
fn a_famous_prompt_is_spread_over_all_that_hold_it() {
    let pool = Pool::of(&[3; 60]);
    (0..40).for_each(|engine| pool.index().note(&prompt(3_000), engine, NOW_MS - 100));
    let mut taken = [0; 60];
    for seed in 0..4_000 {
        let choice = pool.choose(Policy::Prefix, &prompt(4_000), seed).unwrap();
        assert_eq!(choice.held_bytes, 2_816);
        taken[choice.member] += 1;
    }
    assert!(taken[..40].iter().all(|count| *count > 20), "{taken:?}");
    assert_eq!(taken[40..], [0; 20]);
}

#[test]
fn a_session_stays_where_much_was_computed_of_late_and_a_new_prompt_does_not_go_there() {
    let mut pool = Pool::of(&[0; 8]);
    pool.recent[5] = 80_000;
    pool.index().note(&prompt(4_096), 5, 900);
    assert_eq!(member(pool.choose(Policy::Prefix, &prompt(4_096), 1)), 5);
    for engine in [1, 2, 3] {
        pool.index().note(&prompt(4_096), engine, NOW_MS - 100);
        pool.recent[engine] = 80_000;
    }
    pool.index().note(&prompt(4_096), 5, NOW_MS - 100);
    let taken = member(pool.choose(Policy::Prefix, &prompt(4_096), 1));
    assert!([0, 4, 6, 7].contains(&taken), "{taken} has enough to do");
}

#[test]
fn a_session_keeps_its_engine_and_moves_on_when_that_is_over_the_guard() {
    let mut pool = Pool::of(&[0; 12]);
    let home = member(pool.choose(Policy::Session, &prompt(0), 1));
    assert!((0..50).all(|seed| member(pool.choose(Policy::Session, &prompt(0), seed)) == home));
    pool.requests[home] = 50;
    let second = member(pool.choose(Policy::Session, &prompt(0), 1));
    assert_ne!(second, home);
    assert!((0..50).all(|seed| member(pool.choose(Policy::Session, &prompt(0), seed)) == second));
    pool.requests[home] = 0;
    assert_eq!(member(pool.choose(Policy::Session, &prompt(0), 9)), home);
}

#[test]
fn an_engine_on_trial_gets_a_request_by_lot_and_never_for_a_prompt() {
    let mut pool = Pool::of(&[0; 10]);
    pool.standings[4] = Standing::Trial;
    pool.index().note(&prompt(3_000), 4, 900);
    let taken = |bytes| {
        let seeds = 0..1_000;
        seeds
            .filter(|seed| member(pool.choose(Policy::Prefix, &prompt(bytes), *seed)) == 4)
            .count()
    };
    let by_lot = taken(0);
    assert!(
        (300..500).contains(&by_lot),
        "four of ten are drawn: {by_lot}"
    );
    assert_eq!(taken(3_000), by_lot, "its cache is no reason");
}

#[test]
fn an_engine_that_warms_up_gets_its_share_of_the_lots() {
    let mut pool = Pool::of(&[1; 10]);
    pool.requests[2] = 0;
    pool.standings[2] = Standing::Well(100);
    let taken = (0..10_000_u64)
        .filter(|seed| member(pool.choose(Policy::PowerOfTwo, &prompt(0), *seed)) == 2)
        .count();
    assert!(
        (120..330).contains(&taken),
        "drawn in a fifth of the choices: {taken}"
    );
}

prop_compose! {
    fn pools()(
        parts in prop::collection::vec((0_u64..200, 0_u8..6, any::<bool>(), 0_u64..90_000), 1..40),
        notes in prop::collection::vec((0_usize..40, 0_usize..6_000, any::<bool>()), 0..20),
    ) -> Pool {
        let mut pool = Pool::of(&parts.iter().map(|part| part.0).collect::<Vec<_>>());
        for (at, (_, standing, is_closed, unread_bytes)) in parts.into_iter().enumerate() {
            pool.unread[at] = unread_bytes;
            pool.open[at] = !is_closed;
            pool.standings[at] = match standing {
                0 => Standing::Out,
                1 => Standing::Trial,
                2 => Standing::Well(100),
                _ => Standing::Well(1_000),
            };
        }
        for (engine, bytes, is_late) in notes {
            let now_ms = if is_late { NOW_MS - 100 } else { 200 };
            pool.index().note(&prompt(bytes), engine, now_ms);
        }
        pool
    }
}

proptest! {
    #[test]
    fn the_chosen_one_is_open_and_none_is_chosen_only_where_none_is(
        pool in pools(), seed: u64, bytes in 0_usize..6_000,
    ) {
        for policy in POLICIES {
            match pool.choose(policy, &prompt(bytes), seed) {
                Some(choice) => prop_assert!(pool.open[choice.member]),
                None => prop_assert!(!pool.open.contains(&true)),
            }
        }
    }

    #[test]
    fn one_that_is_out_is_chosen_only_where_nobody_else_is_open(
        pool in pools(), seed: u64, bytes in 0_usize..6_000,
    ) {
        let can = |at: usize| pool.open[at] && pool.standings[at] != Standing::Out;
        for policy in POLICIES {
            if let Some(choice) = pool.choose(policy, &prompt(bytes), seed)
                && pool.standings[choice.member] == Standing::Out
            {
                prop_assert!(!(0..pool.count()).any(can));
            }
        }
    }

    #[test]
    fn nobody_over_the_guard_is_chosen_for_what_it_holds(
        pool in pools(), seed: u64, bytes in 0_usize..6_000,
    ) {
        if let Some(choice) = pool.choose(Policy::Prefix, &prompt(bytes), seed)
            && choice.held_bytes > 0
        {
            prop_assert!(pool.load(choice.member).weight() < guard(pool.mean_weight()));
            prop_assert!(choice.held_bytes <= bytes);
        }
    }

    #[test]
    fn nobody_would_answer_sooner_of_those_that_hold_the_prompt_whole(
        pool in pools(), seed: u64,
    ) {
        let asked = prompt(3_072);
        for engine in [3, 5] {
            pool.index().note(&asked, engine, NOW_MS - 50);
        }
        // Of a famous one only some holders are looked at.
        prop_assume!(!pool.index().holders(asked.hashes()[11], NOW_MS).are_many);
        let fits = |at: usize| {
            at < pool.count() && pool.open[at] && matches!(pool.standings[at], Standing::Well(_))
                && pool.load(at).weight() < guard(pool.mean_weight())
        };
        let choice = pool.choose(Policy::Prefix, &asked, seed);
        let choice = choice.filter(|choice| pool.standings[choice.member] != Standing::Trial);
        for at in [3, 5].into_iter().filter(|at| fits(*at)) {
            if let Some(choice) = choice {
                let missing = (3_072 - choice.held_bytes) as u64 * 3 / 2 / BYTES_PER_WEIGHT;
                prop_assert!(pool.load(choice.member).wait() + missing <= pool.load(at).wait());
            }
        }
    }

    #[test]
    fn the_same_pool_request_and_seed_make_the_same_choice(pool in pools(), seed: u64) {
        for policy in POLICIES {
            let choice = pool.choose(policy, &prompt(2_000), seed);
            prop_assert_eq!(choice, pool.choose(policy, &prompt(2_000), seed));
        }
    }
}
