//! Where one relay's events wait until Python takes them.
//!
//! The task on the I/O thread puts in, Python takes out; the lock is held for a copy at most. What
//! waits is bounded by the task, which stops reading its engine while [`Mailbox::is_full`].

use std::sync::{Arc, PoisonError};

use tokenmill_core::sse::KEEP_ALIVE;
use tokenmill_core::usage::Usage;
use tokenmill_core::wallet::Refusal;
use tokio::sync::Notify;

use super::bell::Bell;
use super::charge::Charge;
use super::error::EndReason;
use super::events::{End, Head, Item, Lack, Whole};
use super::fleet::Fleet;
use crate::sync::{AtomicBool, AtomicI32, Mutex, MutexGuard, Ordering};

/// Where a request goes on that lacked an adapter.
pub(super) struct Course {
    pub fleet: Arc<Fleet>,
    pub pool: usize,
}

impl std::fmt::Debug for Course {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut course = formatter.debug_struct("Course");
        course.field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// What one look at the engine gave.
pub(super) struct Put<'a> {
    /// Goes before the first frames, unless one went before.
    pub head: Head,
    /// For the client.
    pub frames: &'a mut Vec<u8>,
    /// The last usage received.
    pub usage: Usage,
    /// Whether what the engine generated is among the frames so far.
    pub sent_tokens: bool,
    /// The last event.
    pub end: Option<End>,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct State {
    head: Option<Head>,
    whole: Option<Whole>,
    frames: Vec<u8>,
    lack: Option<Lack>,
    /// The task waits for it, once it has put in a lack.
    course: Option<Course>,
    end: Option<End>,
    usage: Usage,
    /// What the request holds in the wallet, if somebody pays for it.
    charge: Option<Charge>,
    sent_tokens: bool,
    /// Python waits: ring when something is put in.
    is_armed: bool,
    /// The task waits until frames are taken.
    wants_room: bool,
    had_head: bool,
    /// Nothing is put in any more.
    is_over: bool,
}

/// The events of one relay.
#[derive(Debug)]
pub struct Mailbox {
    id: u64,
    bell: Arc<Bell>,
    engine: AtomicI32,
    /// Whether the request has left for the engine.
    was_asked: AtomicBool,
    room: Notify,
    told: Notify,
    state: Mutex<State>,
}

impl Mailbox {
    /// An empty one, which rings `bell` by its `id` and settles `charge` at its end.
    pub(super) fn new(id: u64, bell: Arc<Bell>, charge: Option<Charge>) -> Self {
        Self {
            id,
            bell,
            engine: AtomicI32::new(-1),
            was_asked: AtomicBool::new(false),
            room: Notify::new(),
            told: Notify::new(),
            state: Mutex::new(State {
                charge,
                ..State::default()
            }),
        }
    }

    /// Nanos that were billed; 0 before the end.
    pub fn cost_nanos(&self) -> i64 {
        self.lock().charge.as_ref().map_or(0, Charge::cost_nanos)
    }

    /// What would have refused the request, where nothing is enforced.
    pub fn overlooked(&self) -> Option<Refusal> {
        self.lock()
            .charge
            .as_ref()
            .and_then(|charge| charge.overlooked)
    }

    pub(super) fn note_asked(&self) {
        self.was_asked.store(true, Ordering::Relaxed);
    }

    /// The number it rings by.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The engine's slot, -1 before one was chosen.
    pub fn engine(&self) -> i32 {
        self.engine.load(Ordering::Relaxed)
    }

    pub(super) fn set_engine(&self, slot: usize) {
        self.engine
            .store(i32::try_from(slot).unwrap_or(i32::MAX), Ordering::Relaxed);
    }

    /// The next event, if one is there.
    pub fn take(&self) -> Option<Item> {
        let mut state = self.lock();
        if let Some(head) = state.head.take() {
            return Some(Item::Head(head));
        }
        if !state.frames.is_empty() {
            let frames = std::mem::take(&mut state.frames);
            let wanted = std::mem::take(&mut state.wants_room);
            drop(state);
            if wanted {
                self.room.notify_one();
            }
            return Some(Item::Frames(frames));
        }
        if let Some(whole) = state.whole.take() {
            return Some(Item::Whole(whole));
        }
        if let Some(lack) = state.lack.take() {
            return Some(Item::Lack(lack));
        }
        state.end.take().map(Item::End)
    }

    /// Whether an event is there.
    pub fn is_ready(&self) -> bool {
        self.lock().is_ready()
    }

    /// Whether an event is there; if not, the bell rings for the next one.
    pub fn arm(&self) -> bool {
        let mut state = self.lock();
        let is_ready = state.is_ready();
        state.is_armed = !is_ready;
        is_ready
    }

    /// The last usage received.
    pub fn usage(&self) -> Usage {
        self.lock().usage
    }

    /// Whether the task has put in its last event.
    pub fn is_over(&self) -> bool {
        self.lock().is_over
    }

    pub(super) fn had_head(&self) -> bool {
        self.lock().had_head
    }

    pub(super) fn put_head(&self, head: Head) {
        self.change(|state| state.begin(head));
    }

    /// Takes in what one look at the engine gave; empties the frames it was given.
    pub(super) fn put(&self, put: Put<'_>) {
        let frames = put.frames;
        let engine = self.engine();
        self.change(|state| {
            state.note(put.usage, put.head.first_byte_ns);
            state.sent_tokens |= put.sent_tokens;
            if !frames.is_empty() {
                if !state.had_head {
                    state.begin(put.head);
                }
                if state.frames.is_empty() {
                    std::mem::swap(&mut state.frames, frames);
                } else {
                    state.frames.append(frames);
                }
            }
            if let Some(end) = put.end {
                state.finish(end, engine);
            }
        });
        frames.clear();
    }

    pub(super) fn set_usage(&self, usage: Usage) {
        self.change(|state| state.note(usage, 0));
    }

    /// A comment, unless frames wait anyway.
    pub(super) fn put_comment(&self) {
        self.change(|state| {
            if !state.had_head {
                state.begin(Head {
                    status: 200,
                    headers: Vec::new(),
                    first_byte_ns: 0,
                });
            }
            if state.frames.is_empty() {
                state.frames.extend_from_slice(KEEP_ALIVE);
            }
        });
    }

    pub(super) fn put_whole(&self, whole: Whole) {
        let engine = self.engine();
        self.change(|state| {
            if let Some(charge) = &mut state.charge {
                charge.note(Usage::default(), whole.first_byte_ns);
                charge.end(EndReason::Complete, Some(whole.status), engine);
            }
            state.whole = Some(whole);
            state.is_over = true;
        });
    }

    /// The last event; a second one is not heard.
    pub(super) fn put_end(&self, end: End) {
        let engine = self.engine();
        self.change(|state| state.finish(end, engine));
    }

    /// Where the request goes on, once whoever takes the lack has said so.
    pub(super) async fn course_after(&self, lack: Lack) -> Course {
        self.change(|state| state.lack = Some(lack));
        loop {
            let told = self.told.notified();
            let course = self.lock().course.take();
            if let Some(course) = course {
                return course;
            }
            told.await;
        }
    }

    /// An engine holds what was lacking.
    pub(super) fn go_on(&self, course: Course) {
        self.lock().course = Some(course);
        self.told.notify_one();
    }

    /// Our client went: what waits is thrown away and nothing more is taken in.
    pub(super) fn shut(&self) {
        let was_asked = self.was_asked.load(Ordering::Relaxed);
        let engine = if was_asked { self.engine() } else { -1 };
        let mut state = self.lock();
        let usage = state.usage;
        let mut charge = state.charge.take();
        if let Some(charge) = &mut charge {
            charge.abandon(engine); // nothing, if it had ended
        }
        *state = State {
            usage,
            charge,
            is_over: true,
            ..State::default()
        };
    }

    pub(super) fn is_full(&self, bytes_max: usize) -> bool {
        self.lock().frames.len() >= bytes_max
    }

    /// Waits until Python has taken what is there.
    pub(super) async fn room(&self, bytes_max: usize) {
        loop {
            let room = self.room.notified();
            {
                let mut state = self.lock();
                if state.frames.len() < bytes_max {
                    state.wants_room = false;
                    return;
                }
                state.wants_room = true;
            }
            room.await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        if state.is_over {
            return;
        }
        change(&mut state);
        let must_ring = state.is_armed && state.is_ready();
        if must_ring {
            state.is_armed = false;
            drop(state);
            self.bell.ring(self.id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begin(&mut self, head: Head) {
        self.head = Some(head);
        self.had_head = true;
    }

    fn note(&mut self, usage: Usage, first_byte_ns: u64) {
        if usage == self.usage {
            return;
        }
        self.usage = usage;
        if let Some(charge) = &mut self.charge {
            charge.note(usage, first_byte_ns);
        }
    }

    /// The cell is settled before anyone can see the end.
    fn finish(&mut self, end: End, engine: i32) {
        if let Some(charge) = &mut self.charge {
            charge.end(end.reason, None, engine);
        }
        self.end = Some(End {
            sent_tokens: end.sent_tokens || self.sent_tokens,
            ..end
        });
        self.is_over = true;
    }

    fn is_ready(&self) -> bool {
        self.head.is_some()
            || !self.frames.is_empty()
            || self.whole.is_some()
            || self.lack.is_some()
            || self.end.is_some()
    }
}
