//! The gate to the engines: who gets a place at once, who waits for one, who is turned away.
//!
//! An engine may have a number of places, for all workers together. Requests that find none wait
//! here, and the next free place goes to the account that was served least
//! (`tokenmill_core::fairness` decides; this one does it). Engines without a number are always
//! free. The gate's lock is never held while anything is dropped or sent: a place that is given
//! back comes here again.

mod giving;
mod place;
mod turned_away;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenmill_core::fairness::{Ahead, Line, Newcomer, Supply, averaged, expected_wait_ns, share};
use tokenmill_core::routing::UnderWay;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use self::giving::hand_over;
use self::place::Counted;
pub(super) use self::place::{Place, Waiting, overloaded};
use self::turned_away::TurnedAway;
use super::fleet::Engine;
use super::limits::Limits;
use crate::clock;
use crate::segment::Segment;

/// How often those who wait look for places that other workers gave back.
const LOOK: Duration = Duration::from_millis(2);
/// This part of the wait is not promised to anyone: accounts of more weight may come later and go
/// first, and whoever would wait to the very end had better be told at once.
const MARGIN: u64 = 2;
/// When to come back where nobody can tell how long an engine takes.
const UNKNOWN_RETRY_MS: u64 = 1_000;
/// The least and the most that a client is told to wait.
const RETRY_MS: std::ops::RangeInclusive<u64> = 100..=60_000;

/// Who asks for a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    pub account_id: u64,
    pub weight: u16,
    /// Decides between engines that are equally busy.
    pub seed: u64,
    /// How long it holds a place tells how long others wait: that of a generation does, that of a
    /// count of tokens does not.
    pub is_typical: bool,
}

/// What became of a request for a place.
pub(super) enum Entered {
    /// It has one.
    Placed(Place),
    /// It waits.
    Waiting(Waiting),
    /// There is no engine to wait for.
    Nowhere,
    /// It cannot be served in time.
    Full {
        /// When to come back.
        retry_after_ms: u64,
    },
}

/// A worker's gate.
pub(super) struct Gate {
    segment: Arc<Segment>,
    worker: usize,
    waiting_max: usize,
    wait: Duration,
    state: Mutex<State>,
    /// Rings when somebody begins to wait.
    begun: Notify,
}

#[derive(Default)]
struct State {
    line: Line<Waiter>,
    next_id: u64,
    is_closed: bool,
    /// How long a place of each engine is held, by slot; nanoseconds on average.
    held_ns: Vec<u64>,
    /// Slots of engines of which the others were told that somebody waits for them.
    told: Vec<usize>,
    turned_away: TurnedAway,
}

struct Waiter {
    engines: Vec<Arc<Engine>>,
    seed: u64,
    place: oneshot::Sender<Place>,
}

impl Gate {
    pub fn new(segment: Arc<Segment>, worker: usize, limits: &Limits) -> Arc<Self> {
        let engines_max = segment.layout().sizes().engines_max;
        Arc::new(Self {
            segment,
            worker,
            waiting_max: limits.waiting_max,
            wait: limits.wait,
            state: Mutex::new(State {
                held_ns: vec![0; engines_max],
                ..State::default()
            }),
            begun: Notify::new(),
        })
    }

    /// A place at the first of the engines, whether it has one or not: for requests that are none
    /// of a customer's, and where engines take any number.
    pub fn pass(self: &Arc<Self>, engines: &[Arc<Engine>]) -> Option<Place> {
        let engine = engines.first()?;
        self.segment
            .engine_in_flight_add(self.worker, engine.slot(), 1);
        Some(self.place(engine, None))
    }

    /// A place at one of the engines, the first if it has one, now or later, or the word that there
    /// will be none in time.
    pub fn enter(self: &Arc<Self>, asker: Asker, engines: Vec<Arc<Engine>>) -> Entered {
        if engines.is_empty() {
            return Entered::Nowhere;
        }
        if engines.iter().all(|engine| engine.places() == 0) {
            let place = self.pass(&engines);
            return place.map_or(Entered::Nowhere, Entered::Placed);
        }
        let mut state = self.lock();
        let account_id = asker.account_id;
        if state.line.len_of(account_id) == 0 {
            self.segment
                .enter_line(account_id, engines.iter().map(|engine| engine.slot()));
        }
        let refused = self.refusal(&state, asker, &engines);
        let id = state.next_id;
        state.next_id += 1;
        let (sender, receiver) = oneshot::channel();
        let waiter = Waiter {
            engines,
            seed: asker.seed,
            place: sender,
        };
        state.line.push(id, account_id, asker.weight, waiter);
        let mut given = self.give(&mut state);
        let own = given.iter().position(|(given_id, ..)| *given_id == id);
        let entered = if let Some(at) = own {
            Entered::Placed(given.swap_remove(at).2)
        } else if let Some(retry_after_ms) = refused {
            drop(state.line.remove(account_id, id));
            state.turned_away.note(account_id, clock::monotonic_ms());
            self.tell(&mut state);
            Entered::Full { retry_after_ms }
        } else {
            self.begun.notify_one();
            Entered::Waiting(Waiting {
                gate: Arc::clone(self),
                asker,
                id,
                since_ns: clock::monotonic_ns(),
                receiver,
            })
        };
        drop(state);
        hand_over(given);
        entered
    }

    /// Whether nobody may begin to wait any more; those who do are sent away then.
    pub fn set_closed(&self, is_closed: bool) {
        let mut state = self.lock();
        state.is_closed = is_closed;
        let leaving = if is_closed && !state.line.is_empty() {
            let leaving = state.line.drain();
            self.tell(&mut state);
            leaving
        } else {
            Vec::new()
        };
        drop(state);
        drop(leaving);
    }

    /// Looks for places that other workers gave back, for ever.
    pub async fn look(self: Arc<Self>) {
        loop {
            let is_empty = self.lock().line.is_empty();
            if is_empty {
                self.begun.notified().await;
            }
            sleep(LOOK).await;
            let given = self.give(&mut self.lock());
            hand_over(given);
        }
    }

    /// When to come back, if one more cannot wait.
    fn refusal(&self, state: &State, asker: Asker, engines: &[Arc<Engine>]) -> Option<u64> {
        let waiting_here = state.line.len() as u64 + 1;
        let told_here = self.segment.worker_waiting(self.worker);
        let elsewhere = self.segment.waiting().saturating_sub(told_here);
        let ahead = Ahead {
            turns: self.turns_before(state, asker, engines),
            waiting_here,
            waiting_everywhere: waiting_here + elsewhere,
        };
        let supply = engines.iter().map(|engine| Supply {
            places: engine.places(),
            held_ns: state.held_ns.get(engine.slot()).copied().unwrap_or(0),
        });
        let expected_ms = expected_wait_ns(ahead, supply).map(|ns| ns / 1_000_000);
        let wait_ms = u64::try_from(self.wait.as_millis()).unwrap_or(u64::MAX);
        let too_late_ms = expected_ms
            .unwrap_or(0)
            .saturating_sub(wait_ms - wait_ms / MARGIN);
        let has_room = state.line.has_room(asker.account_id, self.waiting_max);
        if too_late_ms == 0 && has_room && !state.is_closed {
            return None;
        }
        let one_turn_ms = expected_ms.map_or(UNKNOWN_RETRY_MS, |ms| ms / ahead.turns.max(1));
        Some(
            too_late_ms
                .max(one_turn_ms)
                .clamp(*RETRY_MS.start(), *RETRY_MS.end()),
        )
    }

    /// Places that are given before one more request of the asker has its own.
    fn turns_before(&self, state: &State, asker: Asker, engines: &[Arc<Engine>]) -> u64 {
        let now_ms = clock::monotonic_ms();
        let held = engines.iter();
        let held = held.filter_map(|engine| state.held_ns.get(engine.slot()));
        let newcomer = Newcomer {
            account_id: asker.account_id,
            weight: asker.weight,
            served: self.segment.served(asker.account_id),
            held_ns: held.max().copied().unwrap_or(0),
        };
        let served = |account_id| self.segment.served(account_id);
        let pressing = |account_id| state.turned_away.is_pressing(account_id, now_ms);
        state.line.turns_before(newcomer, served, pressing)
    }

    fn place(self: &Arc<Self>, engine: &Arc<Engine>, counted: Option<Counted>) -> Place {
        Place {
            gate: Arc::clone(self),
            engine: Arc::clone(engine),
            since_ns: clock::monotonic_ns(),
            counted,
            has_answered: false,
            outcome: None,
            unread: 0,
        }
    }

    /// Tells the other workers who waits here.
    fn tell(&self, state: &mut State) {
        let mut least: Vec<(usize, u64)> = Vec::new();
        for (account_id, waiter) in state.line.iter() {
            let served = self.segment.served(account_id);
            for engine in &waiter.engines {
                match least.iter_mut().find(|(slot, _)| *slot == engine.slot()) {
                    Some((_, known)) => *known = served.min(*known),
                    None => least.push((engine.slot(), served)),
                }
            }
        }
        for slot in state.told.drain(..) {
            if least.iter().all(|(told, _)| *told != slot) {
                self.segment.tell_least(self.worker, slot, None);
            }
        }
        for (slot, served) in least {
            self.segment.tell_least(self.worker, slot, Some(served));
            state.told.push(slot);
        }
        let now_ms = clock::monotonic_ms();
        self.segment
            .tell_waiting(self.worker, state.line.len(), now_ms);
    }

    fn leave(&self, account_id: u64, id: u64) {
        let mut state = self.lock();
        let left = state.line.remove(account_id, id);
        if left.is_some() {
            self.tell(&mut state);
        }
        drop(state);
        drop(left);
    }

    /// A request waited in vain.
    fn note_late(&self, account_id: u64) {
        let now_ms = clock::monotonic_ms();
        self.lock().turned_away.note(account_id, now_ms);
    }

    fn give_back(self: &Arc<Self>, place: &Place) {
        let slot = place.engine.slot();
        let change = UnderWay::change(-1, -i64::from(place.unread));
        self.segment.engine_under_way_add(self.worker, slot, change);
        if place.engine.places() == 0 {
            return;
        }
        let held_ns = clock::monotonic_ns().saturating_sub(place.since_ns);
        if let Some(counted) = &place.counted {
            let actual = share(held_ns, counted.weight).cast_signed();
            let change = actual - counted.estimate.cast_signed();
            self.segment.add_served(counted.account_id, change);
        }
        let mut state = self.lock();
        if place.has_answered {
            state.held_ns[slot] = averaged(state.held_ns[slot], held_ns.max(1));
        }
        let given = self.give(&mut state);
        drop(state);
        hand_over(given);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
