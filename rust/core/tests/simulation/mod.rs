//! A house in one thread: workers, control with its keeper and ledger, and a fate that kills any of
//! them before any write, or lets another one run there. The same seed does the same again.
//!
//! What must hold is checked after every step: every account is its ledger's balance plus what is
//! not posted; no balance is negative; each request is billed once, on the last usage that was
//! noted; each credit is posted once; limits give no more than promised.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::single_match_else,
    clippy::needless_for_each,
    reason = "a module of tests, which clippy takes for product code"
)]

mod control;
mod fate;
mod laws;
mod memory;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::rc::Rc;

use control::Ledger;
use fate::Fate;
use memory::{Killed, Memory};
use tokenmill_core::wallet::{
    ACCOUNT_WORDS, CELL_WORDS, CONTROL, Claimer, Ending, Hold, Map, Price, Refusal, Request, Terms,
    Tokens, Wallet,
};

const ACCOUNTS: u64 = 3;
const WORKERS: u16 = 3;
/// Control acts twice as often as a worker.
const PROCESSES: u64 = WORKERS as u64 + 2;
const CONTROL_INDEX: u64 = WORKERS as u64;
const CELLS: usize = 12;
const OPENING: i64 = 40_000;
const TOKENS_PER_MIN: u32 = 6_000;
const REQUESTS_PER_MIN: u32 = 90;
const SECOND_NS: u64 = 1_000_000_000;
const PRICE: Price = Price {
    prompt: 3,
    cached: 1,
    completion: 7,
};

const MAP: Map = Map {
    high: 0,
    accounts: 8,
    accounts_max: ACCOUNTS as usize + 1,
    cells: 8 + (ACCOUNTS as usize + 1) * ACCOUNT_WORDS,
    cells_max: CELLS,
};

/// A request as its worker knows it.
struct Running {
    hold: Hold,
    account_id: u64,
    noted: Tokens,
}

struct Worker {
    claimer: RefCell<Claimer>,
    running: RefCell<Vec<Running>>,
    /// It died and nobody has rescued it yet.
    is_dead: Cell<bool>,
}

impl Worker {
    fn new(owner: u16) -> Self {
        Self {
            claimer: RefCell::new(Claimer::new(owner)),
            running: RefCell::default(),
            is_dead: Cell::new(false),
        }
    }
}

struct House {
    memory: Rc<Memory>,
    fate: Fate,
    workers: Vec<Worker>,
    control: RefCell<Claimer>,
    control_is_dead: Cell<bool>,
    ledger: RefCell<Ledger>,
    /// What may be billed, by ticket; a ticket that is not here died in its admission.
    expected: RefCell<HashMap<u64, Vec<Tokens>>>,
    now_ns: Cell<u64>,
    admitted: RefCell<Vec<(u64, u64)>>,
}

/// What came of a run.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    /// Writes to the shared memory.
    pub writes: u64,
    /// Processes killed.
    pub deaths: u64,
}

/// Runs one house. Panics where something does not hold; the seed tells how to come back.
pub fn run(seed: u64, steps: u32) -> Outcome {
    silence_deaths();
    let memory = Rc::new(Memory::new(MAP.cells + CELLS * CELL_WORDS));
    let house = Rc::new(House {
        memory: Rc::clone(&memory),
        fate: Fate::of(seed),
        workers: (0..WORKERS).map(Worker::new).collect(),
        control: RefCell::new(Claimer::new(CONTROL)),
        control_is_dead: Cell::new(false),
        ledger: RefCell::default(),
        expected: RefCell::default(),
        now_ns: Cell::new(SECOND_NS),
        admitted: RefCell::default(),
    });
    house.open();
    let mut deaths = 0;
    for _ in 0..steps {
        house
            .now_ns
            .set(house.now_ns.get() + house.fate.below(SECOND_NS));
        deaths += u64::from(house.step());
        house.check();
    }
    house.close();
    Outcome {
        writes: memory.writes.get(),
        deaths,
    }
}

/// Deaths are meant; their messages would hide the one panic that is not.
fn silence_deaths() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let shown = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Killed>() {
                shown(info);
            }
        }));
    });
}

impl House {
    fn wallet(&self) -> Wallet<'_, Memory> {
        Wallet::new(&*self.memory, MAP)
    }

    fn open(&self) {
        let terms = Terms {
            requests_per_min: REQUESTS_PER_MIN,
            tokens_per_min: TOKENS_PER_MIN,
            concurrency_max: 3,
            weight: 1,
            is_enabled: true,
        };
        for account_id in 1..=ACCOUNTS {
            assert_eq!(
                self.wallet().put_account(account_id, &terms, OPENING),
                Ok(true)
            );
            self.ledger
                .borrow_mut()
                .balances
                .insert(account_id, OPENING);
        }
    }

    /// One deed of a process, which may be killed in it; whether it was.
    fn step(self: &Rc<Self>) -> bool {
        let who = self.fate.below(PROCESSES).min(CONTROL_INDEX);
        let is_fatal = self.fate.one_in(6);
        let kill_at = self.fate.below(24);
        let other = self.fate.below(PROCESSES).min(CONTROL_INDEX);
        let other_at = self.fate.below(24);
        let house = Rc::clone(self);
        let mut writes = 0;
        *self.memory.before_write.borrow_mut() = Some(Box::new(move || {
            writes += 1;
            if is_fatal && writes == kill_at {
                panic_any(Killed);
            }
            if writes == other_at && other != who {
                house.act(other);
            }
        }));
        let ended = catch_unwind(AssertUnwindSafe(|| self.act(who)));
        *self.memory.before_write.borrow_mut() = None;
        match ended {
            Ok(()) => false,
            Err(reason) if reason.is::<Killed>() => {
                self.bury(who);
                true
            }
            Err(reason) => resume_unwind(reason),
        }
    }

    fn act(&self, who: u64) {
        match self.workers.get(usize::try_from(who).unwrap()) {
            Some(worker) if worker.is_dead.get() => {
                // A rescuer may have died at it: the next one goes on.
                let owner = u16::try_from(who).unwrap();
                self.wallet().rescue(owner, 5, self.now_ns.get());
                worker.is_dead.set(false);
            }
            Some(worker) => self.work(worker),
            None if self.control_is_dead.get() => self.restart_control(),
            None if self.fate.one_in(3) => self.credit(),
            None => self.flush(),
        }
    }

    fn bury(&self, who: u64) {
        match self.workers.get(usize::try_from(who).unwrap()) {
            Some(worker) => {
                worker.is_dead.set(true);
                worker.running.borrow_mut().clear();
                *worker.claimer.borrow_mut() = Claimer::new(u16::try_from(who).unwrap());
            }
            None => {
                self.control_is_dead.set(true);
                *self.control.borrow_mut() = Claimer::new(CONTROL);
            }
        }
    }

    fn work(&self, worker: &Worker) {
        let Ok(mut running) = worker.running.try_borrow_mut() else {
            return; // it stands in the middle of something
        };
        let count = running.len() as u64;
        if count == 0 || self.fate.one_in(3) {
            self.admit(worker, &mut running);
            return;
        }
        let index = usize::try_from(self.fate.below(count)).unwrap();
        if self.fate.one_in(3) {
            let request = running.swap_remove(index);
            self.settle(&request);
        } else {
            self.meter(&mut running[index]);
        }
    }

    fn admit(&self, worker: &Worker, running: &mut Vec<Running>) {
        let (prompt, made) = (self.fate.below(90), self.fate.below(400));
        let account_id = 1 + self.fate.below(ACCOUNTS);
        let request = Request {
            account_id,
            price: PRICE,
            reserve: PRICE.worst(prompt, made),
            tokens_estimate: prompt + made,
            ..Request::default()
        };
        let now_ns = self.now_ns.get();
        if self.wallet().take_request(account_id, now_ns).is_err() {
            return;
        }
        self.admitted.borrow_mut().push((account_id, now_ns));
        let claimer = &mut worker.claimer.borrow_mut();
        match self.wallet().admit(claimer, &request, now_ns, true) {
            Ok(admitted) => {
                let hold = admitted.hold;
                let ticket = hold.ticket();
                self.expected
                    .borrow_mut()
                    .insert(ticket, vec![Tokens::default()]);
                let noted = Tokens::default();
                running.push(Running {
                    hold,
                    account_id,
                    noted,
                });
            }
            Err(Refusal::NoAccount | Refusal::Disabled) => panic!("the account is there"),
            Err(_) => {}
        }
    }

    /// Usage grows and stays under what was reserved: 30 of the prompt, 9 made at a time.
    fn meter(&self, request: &mut Running) {
        let reserved = self.reserved(request);
        let next = Tokens {
            prompt: 30,
            cached: u32::try_from(self.fate.below(31)).unwrap(),
            completion: request.noted.completion + u32::try_from(self.fate.below(9)).unwrap(),
        };
        if PRICE.worst(next.prompt.into(), next.completion.into()) > reserved {
            return;
        }
        let ticket = request.hold.ticket();
        // If it dies in the one store, either of both is the last.
        self.expected
            .borrow_mut()
            .entry(ticket)
            .or_default()
            .push(next);
        self.wallet().meter(request.hold, next);
        self.expected.borrow_mut().insert(ticket, vec![next]);
        request.noted = next;
    }

    fn reserved(&self, request: &Running) -> i64 {
        self.wallet().reserved(request.hold)
    }

    fn settle(&self, request: &Running) {
        let ending = Ending {
            status: 200,
            engine: 0,
            first_byte_ms: Some(1),
            wall_ms: 1,
            now_ns: self.now_ns.get(),
            prompt_estimate: None,
        };
        let cost = self.wallet().settle(request.hold, &ending);
        assert_eq!(
            cost,
            PRICE.cost(request.noted),
            "account {}",
            request.account_id
        );
    }

    /// Everyone comes back, everything ends, and nothing is left over.
    fn close(&self) {
        for worker in &self.workers {
            let running: Vec<Running> = worker.running.borrow_mut().drain(..).collect();
            running.iter().for_each(|request| self.settle(request));
        }
        for owner in 0..WORKERS {
            self.wallet().rescue(owner, 5, self.now_ns.get());
        }
        while self.wallet().open_cells() > 0 || self.control_is_dead.get() {
            self.restart_control();
            self.flush();
        }
        let ledger = self.ledger.borrow();
        for account_id in 1..=ACCOUNTS {
            let view = self
                .wallet()
                .account(account_id, self.now_ns.get())
                .unwrap();
            assert_eq!(view.available, ledger.balances[&account_id]);
            assert_eq!(view.in_flight, 0);
        }
        for (reference, (_, nanos, times)) in ledger.intents.iter().enumerate() {
            assert_eq!(*times, u32::from(*nanos != 0), "credit {reference}");
        }
        self.check_limits();
    }
}
