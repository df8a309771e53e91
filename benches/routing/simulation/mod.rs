//! A fleet in virtual time: sessions send prompts, a policy picks engines, engines with prefix
//! caches compute. Deterministic: the same trace, policy and seed give the same figures.

pub mod engine;
pub mod figures;
pub mod pickers;
pub mod rivals;
pub mod traces;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use engine::{Engine, Job};
use figures::{Figures, Seen};
use pickers::{Asked, Picker};
use traces::{Session, Trace};

/// Looks at the balance of the fleet, each so long after the one before.
const LOOK_US: u64 = 250_000;

/// What happens next, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The session sends its next turn.
    Turn(usize),
    /// The engine's step is over.
    Step(usize),
    /// The balance is looked at.
    Look,
}

/// One race: a trace through a fleet under one policy.
pub struct Race {
    engines: Vec<Engine>,
    sessions: Vec<Session>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    seen: Seen,
    /// Requests before it are not counted: caches are cold.
    counted_from_us: u64,
    ends_us: u64,
}

impl Race {
    /// A fleet of so many engines before the trace.
    pub fn new(trace: &Trace, engines: usize, seed: u64) -> Self {
        let sessions = trace.sessions(engines, seed);
        let mut race = Self {
            engines: (0..engines).map(|_| Engine::default()).collect(),
            events: BinaryHeap::new(),
            sequence: 0,
            seen: Seen::default(),
            counted_from_us: trace.seconds * 1_000_000 / 4,
            ends_us: trace.seconds * 1_000_000,
            sessions,
        };
        for index in 0..race.sessions.len() {
            race.at(race.sessions[index].begins_us, Event::Turn(index));
        }
        race.at(race.counted_from_us, Event::Look);
        race
    }

    /// Runs it to the end of its time.
    pub fn run(mut self, picker: &mut dyn Picker) -> Figures {
        while let Some(Reverse((now_us, _, event))) = self.events.pop() {
            if now_us > self.ends_us {
                break;
            }
            match event {
                Event::Turn(session) => self.turn(session, now_us, picker),
                Event::Step(engine) => self.step(engine, now_us),
                Event::Look => {
                    let loads = self.engines.iter().map(Engine::requests);
                    self.seen.note_balance(loads);
                    self.at(now_us + LOOK_US, Event::Look);
                }
            }
        }
        let seconds = (self.ends_us - self.counted_from_us) / 1_000_000;
        self.seen.figures(seconds)
    }

    fn turn(&mut self, session: usize, now_us: u64, picker: &mut dyn Picker) {
        let Some(turn) = self.sessions[session].next_turn() else {
            return;
        };
        let asked = Asked {
            engines: &self.engines,
            blocks: &turn.prompt,
            session: self.sessions[session].id,
            now_us,
            seed: self.sequence,
        };
        let (engine, missing_bytes) = picker.pick(&asked);
        self.engines[engine].take(Job::new(session, turn, now_us), missing_bytes);
        if let Some(ends_us) = self.engines[engine].begin_step(now_us) {
            self.at(ends_us, Event::Step(engine));
        }
    }

    fn step(&mut self, engine: usize, now_us: u64) {
        let counted_from_us = self.counted_from_us;
        let seen = &mut self.seen;
        let done = self.engines[engine].end_step(|job| {
            if job.arrived_us >= counted_from_us {
                seen.note_first_token(
                    now_us - job.arrived_us,
                    job.prompt_tokens(),
                    job.cached_tokens,
                );
            }
        });
        for job in done {
            if now_us >= self.counted_from_us {
                self.seen.note_answer(job.answer_tokens);
            }
            let pause_us = self.sessions[job.session].pause_us();
            self.at(now_us + pause_us, Event::Turn(job.session));
        }
        if let Some(ends_us) = self.engines[engine].begin_step(now_us) {
            self.at(ends_us, Event::Step(engine));
        }
    }

    fn at(&mut self, time_us: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((time_us, self.sequence, event)));
    }
}
