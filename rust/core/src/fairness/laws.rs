//! What is promised of waiting, tried on made-up houses.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Engines with places, accounts that keep the line full, and time that goes by in steps.
struct House {
    lines: Vec<Line<()>>,
    served: BTreeMap<u64, u64>,
    floor: u64,
    places: Vec<Option<Held>>,
    average_ns: u64,
    next_id: u64,
    given: BTreeMap<u64, u64>,
    time_given: BTreeMap<u64, u64>,
}

#[derive(Clone, Copy)]
struct Held {
    account: u64,
    weight: u16,
    counted: u64,
    since_ns: u64,
    until_ns: u64,
}

/// One account of a made-up house.
#[derive(Clone, Debug)]
struct Customer {
    weight: u16,
    holds_ns: u64,
    /// In which workers its requests come in.
    workers: Vec<usize>,
    backlog: usize,
}

impl House {
    fn new(workers: usize, places: usize) -> Self {
        Self {
            lines: (0..workers).map(|_| Line::default()).collect(),
            served: BTreeMap::new(),
            floor: 0,
            places: vec![None; places],
            average_ns: 0,
            next_id: 0,
            given: BTreeMap::new(),
            time_given: BTreeMap::new(),
        }
    }

    fn refill(&mut self, customers: &[Customer]) {
        for (account, customer) in customers.iter().enumerate() {
            for worker in &customer.workers {
                let account = account as u64;
                while self.lines[*worker].len_of(account) < customer.backlog {
                    let before = self.served.get(&account).copied().unwrap_or(0);
                    self.served.insert(account, on_entry(before, self.floor));
                    self.next_id += 1;
                    self.lines[*worker].push(self.next_id, account, customer.weight, ());
                }
            }
        }
    }

    fn free(&mut self, now_ns: u64) {
        for place in &mut self.places {
            if let Some(held) = place.filter(|held| held.until_ns <= now_ns) {
                let held_ns = now_ns - held.since_ns;
                let served = self.served.get_mut(&held.account).unwrap();
                let actual = share(held_ns, held.weight);
                *served =
                    served.saturating_add_signed(actual.cast_signed() - held.counted.cast_signed());
                self.average_ns = averaged(self.average_ns, held_ns);
                *self.time_given.entry(held.account).or_default() += held_ns;
                *place = None;
            }
        }
    }

    fn head(&self, worker: usize) -> Option<Next> {
        self.lines[worker].next(|account| self.served[&account], |_, ()| true)
    }

    /// Each worker in turn takes what it may.
    fn give(&mut self, customers: &[Customer], now_ns: u64) {
        loop {
            let heads: Vec<_> = (0..self.lines.len())
                .map(|worker| self.head(worker))
                .collect();
            let first = heads.iter().enumerate().find_map(|(worker, head)| {
                let head = (*head)?;
                let others = heads
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != worker);
                let other = others
                    .filter_map(|(at, head)| Some((head.as_ref()?.served, at)))
                    .min();
                is_first((head.served, worker), other).then_some((worker, head))
            });
            let Some(place) = self.places.iter_mut().find(|place| place.is_none()) else {
                return;
            };
            let Some((worker, next)) = first else {
                assert!(
                    heads.iter().all(Option::is_none),
                    "nobody may take a free place"
                );
                return;
            };
            self.lines[worker].remove(next.account_id, next.id).unwrap();
            let counted = share(self.average_ns, next.weight);
            *place = Some(Held {
                account: next.account_id,
                weight: next.weight,
                counted,
                since_ns: now_ns,
                until_ns: now_ns + customers[usize::try_from(next.account_id).unwrap()].holds_ns,
            });
            self.floor = self.floor.max(next.served);
            *self.served.get_mut(&next.account_id).unwrap() += counted;
            *self.given.entry(next.account_id).or_default() += 1;
        }
    }

    fn run(&mut self, customers: &[Customer], until_ns: u64, step_ns: u64) {
        let mut now_ns = 0;
        while now_ns < until_ns {
            self.free(now_ns);
            self.refill(customers);
            self.give(customers, now_ns);
            now_ns += step_ns;
        }
    }
}

const MS: u64 = 1_000_000;

fn customers(workers: usize) -> impl Strategy<Value = Vec<Customer>> {
    let one = (
        1_u16..6,
        20_u64..400,
        proptest::collection::vec(0..workers, 1..=workers),
        1_usize..9,
    );
    let one = one.prop_map(|(weight, holds_ms, mut workers, backlog)| {
        workers.sort_unstable();
        workers.dedup();
        Customer {
            weight,
            holds_ns: holds_ms * MS,
            workers,
            backlog,
        }
    });
    proptest::collection::vec(one, 2..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever always has someone waiting gets the share of the time that its weight says,
    /// whether it sends long requests or short ones and in however many workers.
    #[test]
    fn accounts_that_always_wait_share_by_weight(
        mut customers in customers(3), places in 4_usize..12,
    ) {
        for customer in &mut customers {
            // As many as could ever be wanted, so that the line never runs dry between two steps.
            customer.backlog = places;
        }
        let mut house = House::new(3, places);
        house.run(&customers, 120_000 * MS, 10 * MS);
        let weights: u64 = customers.iter().map(|each| u64::from(each.weight)).sum();
        let all: u64 = house.time_given.values().sum();
        for (account, customer) in customers.iter().enumerate() {
            let got = house.time_given.get(&(account as u64)).copied().unwrap_or(0);
            let fair = all * u64::from(customer.weight) / weights;
            // Off by what is under way at the end and what was not known at the beginning.
            let slack = fair / 10 + 4 * places as u64 * 400 * MS;
            prop_assert!(got.abs_diff(fair) <= slack, "account {account}: {got} of {fair}");
        }
    }

    /// Nobody waits for ever beside those who never stop, however few of its own there are.
    #[test]
    fn nobody_starves(mut customers in customers(2), places in 1_usize..6) {
        customers[0].backlog = 1;
        customers[0].workers = vec![0];
        let mut house = House::new(2, places);
        house.run(&customers, 60_000 * MS, 10 * MS);
        let got = house.given.get(&0).copied().unwrap_or(0);
        prop_assert!(got >= 3, "{got} in a minute");
    }

    #[test]
    fn an_account_with_nobody_waiting_finds_room(
        sent in proptest::collection::vec(0_u64..6, 0..400), waiting_max in 64_usize..256,
    ) {
        let mut line = Line::default();
        for (id, account) in sent.into_iter().enumerate() {
            if line.has_room(account, waiting_max) {
                line.push(id as u64, account, 1, ());
            }
        }
        prop_assert!(line.has_room(99, waiting_max));
    }

    #[test]
    fn the_next_one_was_served_least_of_those_that_fit(
        waiting in proptest::collection::vec((0_u64..5, any::<bool>()), 1..30),
        served in proptest::collection::vec(0_u64..4, 5),
    ) {
        let mut line = Line::default();
        for (id, (account, fits)) in waiting.iter().enumerate() {
            line.push(id as u64, *account, 1, *fits);
        }
        let count = |account: u64| served[usize::try_from(account).unwrap()];
        let next = line.next(count, |_, fits| *fits);
        let fitting = waiting.iter().enumerate().filter(|(_, (_, fits))| *fits);
        let least = fitting.map(|(_, (account, _))| count(*account)).min();
        prop_assert_eq!(next.map(|next| next.served), least);
        if let Some(next) = next {
            prop_assert_eq!(line.get(next), Some(&true));
            prop_assert_eq!(line.remove(next.account_id, next.id), Some(true));
            prop_assert_eq!(line.len(), waiting.len() - 1);
        }
    }

    #[test]
    fn what_is_taken_out_is_what_was_put_in(
        deeds in proptest::collection::vec((any::<bool>(), 0_u64..4, 0_u64..60), 0..120),
    ) {
        let mut line = Line::default();
        let mut model: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for (id, (is_push, account, some)) in deeds.into_iter().enumerate() {
            let id = id as u64;
            if is_push {
                line.push(id, account, 1, some);
                model.insert((account, id), some);
            } else {
                prop_assert_eq!(line.remove(account, some), model.remove(&(account, some)));
            }
            prop_assert_eq!(line.len(), model.len());
        }
        let mut left = line.drain();
        left.sort_unstable();
        let mut expected: Vec<_> = model.into_values().collect();
        expected.sort_unstable();
        prop_assert_eq!(left, expected);
        prop_assert!(line.is_empty());
    }
}

#[test]
fn the_expected_wait_is_turns_by_the_rate_of_places() {
    let ahead = |turns, here, everywhere| Ahead {
        turns,
        waiting_here: here,
        waiting_everywhere: everywhere,
    };
    let engine = Supply {
        places: 4,
        held_ns: 200 * MS,
    };
    // Four places of 200 ms: one every 50 ms.
    let wait = |ahead| expected_wait_ns(ahead, [engine].into_iter());
    assert_eq!(wait(ahead(3, 3, 3)), Some(150 * MS));
    assert_eq!(wait(ahead(3, 3, 6)), Some(300 * MS));
    let two = [engine, engine].into_iter();
    assert_eq!(expected_wait_ns(ahead(3, 3, 3), two), Some(75 * MS));
    let unknown = Supply {
        held_ns: 0,
        ..engine
    };
    let some = [unknown, engine, unknown, engine].into_iter();
    assert_eq!(expected_wait_ns(ahead(6, 6, 6), some), Some(75 * MS));
    let none = [unknown, unknown].into_iter();
    assert_eq!(expected_wait_ns(ahead(3, 3, 3), none), None);
    assert_eq!(expected_wait_ns(ahead(3, 3, 3), std::iter::empty()), None);
}

#[test]
fn short_requests_get_their_time_beside_long_ones() {
    let customer = |weight, holds_ms| Customer {
        weight,
        holds_ns: holds_ms * MS,
        workers: vec![0],
        backlog: 10,
    };
    let mut house = House::new(3, 10);
    house.run(&[customer(3, 71), customer(1, 21)], 120_000 * MS, 10 * MS);
    let (long, short) = (house.time_given[&0], house.time_given[&1]);
    assert!(
        short.abs_diff(long / 3) < long / 30,
        "{short} beside {long}"
    );
}

#[test]
fn who_was_away_has_saved_up_and_owes_no_more_than_so_much() {
    let floor = 3 * BEHIND_NS_MAX;
    assert_eq!(on_entry(0, floor), 2 * BEHIND_NS_MAX);
    assert_eq!(on_entry(floor - 1, floor), floor - 1);
    assert_eq!(on_entry(0, 500), 0);
    assert_eq!(on_entry(700, 500), 700);
    assert_eq!(on_entry(u64::MAX, 500), 500 + AHEAD_NS_MAX);
}

#[test]
fn turns_go_by_weight_and_by_what_was_served() {
    let mut line = Line::default();
    for id in 0..6 {
        line.push(id, 1, 1, ());
    }
    line.push(6, 2, 2, ());
    let turns = |newcomer: (u64, u16), served: [u64; 4], pressing: &[u64]| {
        let (account_id, weight) = newcomer;
        let at = |account: u64| served[usize::try_from(account).unwrap()] * MS;
        let newcomer = Newcomer {
            account_id,
            weight,
            served: at(account_id),
            held_ns: 100 * MS,
        };
        line.turns_before(newcomer, at, |account| pressing.contains(&account))
    };
    // The first of a third account: each one's turns until it was served as much, if it has them.
    assert_eq!(turns((3, 1), [0; 4], &[1, 2]), 4);
    assert_eq!(turns((3, 1), [0; 4], &[]), 3);
    assert_eq!(turns((3, 4), [0; 4], &[1, 2]), 3);
    // Whoever was served less is first, and whoever was served more comes later.
    assert_eq!(turns((3, 1), [0, 500, 500, 0], &[1, 2]), 1);
    assert_eq!(turns((3, 1), [0, 0, 0, 200], &[1, 2]), 1 + 3 + 6);
    assert_eq!(turns((3, 1), [0, 0, 0, 200], &[]), 1 + 3 + 1);
    // Its own are before it.
    assert_eq!(turns((1, 1), [0; 4], &[2]), 7 + 14);
    assert_eq!(turns((1, 1), [0; 4], &[]), 7 + 1);
}
