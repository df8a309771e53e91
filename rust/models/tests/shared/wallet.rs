//! The wallet: whatever processes do at once, and wherever one of them dies, no money is lost or
//! made, and nothing is billed twice.

use loom::thread;
use std::sync::Arc;
use tokenmill_core::wallet::{
    ACCOUNT_WORDS, Admitted, CELL_WORDS, CONTROL, Claimer, Ending, Hold, Kind, Map, Price, Record,
    Refusal, Request, Terms, Tokens, Wallet,
};

use crate::check;
use crate::memory::{Memory, Process};

const ACCOUNT: u64 = 1;
const OPENING: i64 = 100;
const USED: Tokens = Tokens {
    prompt: 3,
    cached: 0,
    completion: 4,
};
const COST: i64 = 7;
const ENDING: Ending = Ending {
    status: 200,
    engine: 0,
    first_byte_ms: None,
    wall_ms: 1,
    now_ns: 1,
    prompt_estimate: None,
};

fn map(cells_max: usize) -> Map {
    Map {
        high: 0,
        accounts: 2,
        accounts_max: 2,
        cells: 2 + 2 * ACCOUNT_WORDS,
        cells_max,
    }
}

/// A house with one account and few cells.
#[derive(Clone)]
struct House {
    memory: Arc<Memory>,
    map: Map,
}

impl House {
    /// The account is not there yet.
    fn empty(cells_max: usize) -> Self {
        let map = map(cells_max);
        let memory = Arc::new(Memory::new(map.cells + cells_max * CELL_WORDS));
        Self { memory, map }
    }

    fn new(cells_max: usize, terms: &Terms) -> Self {
        let house = Self::empty(cells_max);
        let process = house.process();
        let made = house.wallet(&process).put_account(ACCOUNT, terms, OPENING);
        assert_eq!(made, Ok(true));
        house
    }

    fn process(&self) -> Process {
        Process::new(&self.memory)
    }

    fn wallet<'a>(&self, process: &'a Process) -> Wallet<'a, Process> {
        Wallet::new(process, self.map)
    }

    /// Admits as the worker that owns `owner`'s cells.
    fn admit(&self, owner: u16, request: &Request) -> Result<Admitted, Refusal> {
        let process = self.process();
        let mut claimer = Claimer::new(owner);
        self.wallet(&process).admit(&mut claimer, request, 1, true)
    }

    /// A request from its admission to its end.
    fn serve(&self, owner: u16, request: &Request) {
        let hold = self.admit(owner, request).unwrap().hold;
        self.finish(hold);
    }

    fn finish(&self, hold: Hold) {
        let process = self.process();
        let wallet = self.wallet(&process);
        wallet.meter(hold, USED);
        assert_eq!(wallet.settle(hold, &ENDING), COST);
    }

    /// What the keeper finds; it must be whole.
    fn settled(&self) -> Vec<Record> {
        let process = self.process();
        let records: Vec<_> = self.wallet(&process).settled(usize::MAX).collect();
        records.iter().for_each(check_whole);
        records
    }

    fn free(&self, record: &Record) -> bool {
        let process = self.process();
        self.wallet(&process).free(record.ticket)
    }

    /// Nothing is under way: the balance is the opening and what is settled, plus `posted`.
    fn check_end(&self, posted: i64) -> Vec<Record> {
        let process = self.process();
        let wallet = self.wallet(&process);
        let records = self.settled();
        assert_eq!(wallet.open_cells(), records.len(), "a cell hangs");
        let view = wallet.account(ACCOUNT, 1).unwrap();
        let changes: i64 = records.iter().map(|record| record.amount).sum();
        assert_eq!(view.available, OPENING + posted + changes);
        assert_eq!(view.in_flight, 0);
        records
    }
}

fn unlimited() -> Terms {
    Terms {
        is_enabled: true,
        ..Terms::default()
    }
}

/// Each worker's key has its number.
fn request(owner: u16, reserve: i64) -> Request {
    Request {
        account_id: ACCOUNT,
        key_id: 70 + u64::from(owner),
        model: 80 + u64::from(owner),
        price: Price {
            prompt: 1,
            cached: 1,
            completion: 1,
        },
        reserve,
        ..Request::default()
    }
}

/// What a record says of itself fits together.
fn check_whole(record: &Record) {
    let request = record.request;
    assert_eq!(request.account_id, ACCOUNT);
    if record.kind == Kind::Credit {
        return;
    }
    assert_eq!(request.model, request.key_id + 10, "{record:?}");
    assert_eq!(record.amount, -request.price.cost(record.tokens));
    assert!(record.tokens == USED || record.tokens == Tokens::default());
}

#[test]
fn the_last_money_is_held_once() {
    check(3, || {
        let house = House::new(2, &unlimited());
        let other = thread::spawn({
            let house = house.clone();
            move || house.admit(0, &request(0, OPENING)).ok()
        });
        let mine = house.admit(1, &request(1, OPENING)).ok();
        let held = [mine, other.join().unwrap()];
        let held: Vec<_> = held.into_iter().flatten().collect();
        assert_eq!(held.len(), 1);
        house.finish(held[0].hold);
        assert_eq!(house.check_end(0).len(), 1);
    });
}

#[test]
fn the_last_permits_are_taken_once() {
    check(3, || {
        let terms = Terms {
            requests_per_min: 1,
            tokens_per_min: 10,
            ..unlimited()
        };
        let house = House::new(2, &terms);
        let ask = |house: &House, owner: u16| {
            let process = house.process();
            let is_let_in = house.wallet(&process).take_request(ACCOUNT, 1).is_ok();
            let wish = Request {
                tokens_estimate: 10,
                ..request(owner, 0)
            };
            (is_let_in, house.admit(owner, &wish).is_ok())
        };
        let other = thread::spawn({
            let house = house.clone();
            move || ask(&house, 0)
        });
        let (mine, other) = (ask(&house, 1), other.join().unwrap());
        assert!(mine.0 != other.0 && mine.1 != other.1, "{mine:?} {other:?}");
    });
}

#[test]
fn an_audit_sees_one_instant() {
    check(2, || {
        let house = House::new(2, &unlimited());
        let worker = thread::spawn({
            let house = house.clone();
            move || house.serve(0, &request(0, 50))
        });
        let process = house.process();
        if let Some(audit) = house.wallet(&process).audit(ACCOUNT) {
            let both = audit.available + audit.held;
            assert_eq!(both, OPENING + audit.unposted, "{audit:?}");
            assert!([0, 50].contains(&audit.held), "{audit:?}");
        }
        worker.join().unwrap();
        house.check_end(0);
    });
}

#[test]
fn an_account_is_not_there_or_has_its_opening() {
    check(3, || {
        let house = House::empty(1);
        let control = thread::spawn({
            let house = house.clone();
            move || {
                let process = house.process();
                let wallet = house.wallet(&process);
                wallet.put_account(ACCOUNT, &unlimited(), OPENING)
            }
        });
        match house.admit(0, &request(0, OPENING)) {
            Ok(admitted) => house.finish(admitted.hold),
            Err(refusal) => assert_eq!(refusal, Refusal::NoAccount),
        }
        assert_eq!(control.join().unwrap(), Ok(true));
        house.check_end(0);
    });
}

#[test]
fn a_keeper_posts_each_use_of_a_cell_once_and_whole() {
    check(2, || {
        let house = House::new(1, &unlimited());
        let worker = thread::spawn({
            let house = house.clone();
            move || {
                (0..2)
                    .filter_map(|_| house.admit(0, &request(0, 50)).ok())
                    .map(|admitted| house.finish(admitted.hold))
                    .count()
            }
        });
        let mut posted = Vec::new();
        for _ in 0..2 {
            for record in house.settled() {
                assert!(!posted.contains(&record.ticket), "a freed cell came again");
                posted.push(record.ticket);
                assert!(house.free(&record));
                assert!(!house.free(&record), "freed twice");
            }
        }
        let served = worker.join().unwrap();
        let left = house.check_end(-COST * i64::try_from(posted.len()).unwrap());
        assert_eq!(served, posted.len() + left.len());
    });
}

/// Runs `model` for a death before each write of what it does, until it says that nobody died.
fn for_each_death(preemptions: usize, model: impl Fn(u32) -> bool + Copy + Send + Sync + 'static) {
    for writes in 0.. {
        let has_died = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let died = std::sync::Arc::clone(&has_died);
        check(preemptions, move || {
            died.store(model(writes), std::sync::atomic::Ordering::Relaxed);
        });
        if !has_died.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
    }
}

/// A worker dies anywhere in a request, is rescued by whoever has proof of it, and another worker
/// serves the same account all the while.
#[test]
fn a_worker_that_dies_anywhere_is_billed_once() {
    for_each_death(2, |writes| {
        let house = House::new(2, &unlimited());
        let mortal = thread::spawn({
            let house = house.clone();
            move || {
                let process = house.process();
                let wallet = house.wallet(&process);
                let lived = process.outlives(writes, || {
                    let mut claimer = Claimer::new(0);
                    let admitted = wallet.admit(&mut claimer, &request(0, 40), 1, true);
                    let hold = admitted.unwrap().hold;
                    wallet.meter(hold, USED);
                    wallet.settle(hold, &ENDING);
                });
                wallet.rescue(0, 2, 2);
                !lived
            }
        });
        house.serve(1, &request(1, 50));
        let has_died = mortal.join().unwrap();
        let records = house.check_end(0);
        let of_key = |key: u64| {
            records
                .iter()
                .filter(move |each| each.request.key_id == key)
        };
        assert_eq!(of_key(71).count(), 1);
        assert!(of_key(70).count() <= 1);
        assert!(has_died || of_key(70).count() == 1);
        has_died
    });
}

/// The rescuer dies too, anywhere, and the next one ends what it began.
#[test]
fn a_rescuer_that_dies_anywhere_leaves_no_cell_half_ended() {
    for_each_death(1, |writes| {
        let house = House::new(2, &unlimited());
        let hold = house.admit(0, &request(0, 40)).unwrap().hold;
        let process = house.process();
        house.wallet(&process).meter(hold, USED);
        let rescuers = thread::spawn({
            let house = house.clone();
            move || {
                let process = house.process();
                let wallet = house.wallet(&process);
                let lived = process.outlives(writes, || {
                    wallet.rescue(0, 2, 2);
                });
                wallet.rescue(0, 2, 2);
                !lived
            }
        });
        house.serve(1, &request(1, 50));
        let has_died = rescuers.join().unwrap();
        let records = house.check_end(0);
        assert_eq!(records.len(), 2);
        assert!(records.iter().all(|record| record.tokens == USED));
        has_died
    });
}

/// Control dies anywhere in a credit; the credit is in its cell, or nowhere and sent again.
#[test]
fn a_credit_whose_control_dies_is_posted_or_not_there() {
    for_each_death(2, |writes| {
        let house = House::new(2, &unlimited());
        let control = thread::spawn({
            let house = house.clone();
            move || {
                let process = house.process();
                let wallet = house.wallet(&process);
                let lived = process.outlives(writes, || {
                    let mut claimer = Claimer::new(CONTROL);
                    let posted = wallet.credit(&mut claimer, ACCOUNT, 30, 9, (1, 1));
                    assert!(posted.is_ok());
                });
                wallet.rescue(CONTROL, 2, 2);
                !lived
            }
        });
        house.serve(1, &request(1, 50));
        let has_died = control.join().unwrap();
        let records = house.check_end(0);
        let process = house.process();
        let open: Vec<u64> = house.wallet(&process).open_credits().collect();
        let credits = records.iter().filter(|each| each.kind == Kind::Credit);
        assert_eq!(credits.map(|each| each.reference).collect::<Vec<_>>(), open);
        assert!(has_died || open == [9]);
        has_died
    });
}
