//! Models of what the I/O thread and Python's thread share, run by loom under every interleaving
//! with few preemptions: `cargo test -p tokenmill-io --features loom models`.
//!
//! What an event loop does is to sleep until the bell is audible; so there is no need of one: at
//! the end of each model, what is there to be taken must be audible.

use std::sync::Arc;

use loom::future::block_on;
use loom::thread;
use tokenmill_core::usage::Usage;

use super::bell::Bell;
use super::error::EndReason;
use super::events::{End, Head, Item};
use super::mailbox::{Mailbox, Put};

const PREEMPTIONS: usize = 3;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

fn bell() -> Arc<Bell> {
    Arc::new(Bell::new().unwrap())
}

fn take(bell: &Bell) -> Vec<u64> {
    let mut relays = Vec::new();
    bell.take(&mut relays);
    relays
}

fn ring_in_a_turn(bell: &Bell, relay: u64) {
    Bell::begin_turns();
    bell.ring(relay);
    bell.end_turn();
}

#[test]
fn what_rang_was_taken_or_is_audible() {
    check(|| {
        let bell = bell();
        let ringers = [1, 2].map(|relay| {
            let bell = Arc::clone(&bell);
            thread::spawn(move || {
                if relay == 1 {
                    ring_in_a_turn(&bell, relay);
                    ring_in_a_turn(&bell, relay + 10);
                } else {
                    bell.ring(relay);
                }
            })
        });
        let mut taken = take(&bell);
        for ringer in ringers {
            ringer.join().unwrap();
        }
        if taken.len() < 3 {
            assert!(bell.is_audible(), "only {taken:?} and silence");
        }
        taken.extend(take(&bell));
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 11]);
        assert!(!bell.is_audible());
    });
}

fn head() -> Head {
    Head {
        status: 200,
        headers: Vec::new(),
        first_byte_ns: 1,
    }
}

fn put(mailbox: &Mailbox, frames: &[u8], end: Option<End>) {
    mailbox.put(Put {
        head: head(),
        frames: &mut frames.to_vec(),
        usage: Usage::default(),
        sent_tokens: true,
        end,
    });
}

fn complete() -> Option<End> {
    Some(End::bare(EndReason::Complete, true))
}

/// What a reader does at a wake-up: takes all, then arms. Whether the end was among it.
fn read(mailbox: &Mailbox, frames: &mut Vec<u8>) -> bool {
    loop {
        match mailbox.take() {
            Some(Item::Frames(bytes)) => frames.extend(bytes),
            Some(Item::End(_)) => return true,
            Some(Item::Head(_) | Item::Whole(_) | Item::Lack(_)) => {}
            None if mailbox.arm() => {}
            None => return false,
        }
    }
}

#[test]
fn a_reader_that_waits_is_rung_for_whatever_comes() {
    check(|| {
        let bell = bell();
        let mailbox = Arc::new(Mailbox::new(7, Arc::clone(&bell), None));
        let task = thread::spawn({
            let mailbox = Arc::clone(&mailbox);
            move || {
                put(&mailbox, b"a", None);
                put(&mailbox, b"b", complete());
            }
        });
        let mut frames = Vec::new();
        let mut is_over = read(&mailbox, &mut frames);
        task.join().unwrap();
        if !is_over {
            assert!(bell.is_audible(), "asleep for ever after {frames:?}");
            assert_eq!(take(&bell), [7]);
            is_over = read(&mailbox, &mut frames);
        }
        assert!(is_over && frames == b"ab");
    });
}

#[test]
fn a_task_that_waits_for_room_gets_it() {
    check(|| {
        let mailbox = Arc::new(Mailbox::new(7, bell(), None));
        let task = thread::spawn({
            let mailbox = Arc::clone(&mailbox);
            move || {
                for piece in [b"a", b"b"] {
                    put(&mailbox, piece, None);
                    // It never returns if the room that was made is not noticed.
                    block_on(mailbox.room(1));
                }
                put(&mailbox, b"", complete());
            }
        });
        let mut frames = Vec::new();
        while !read(&mailbox, &mut frames) {
            thread::yield_now();
        }
        task.join().unwrap();
        assert_eq!(frames, b"ab");
    });
}

#[test]
fn a_client_that_leaves_ends_it_once_and_nothing_comes_after() {
    check(|| {
        let bell = bell();
        let mailbox = Arc::new(Mailbox::new(7, Arc::clone(&bell), None));
        let task = thread::spawn({
            let mailbox = Arc::clone(&mailbox);
            move || {
                mailbox.note_asked();
                mailbox.set_engine(3);
                put(&mailbox, b"a", None);
                put(&mailbox, b"b", complete());
            }
        });
        mailbox.shut();
        assert!(mailbox.is_over() && mailbox.take().is_none());
        task.join().unwrap();
        assert!(mailbox.take().is_none());
        assert!(!mailbox.arm());
    });
}
