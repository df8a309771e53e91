//! The steps of an engine: everyone who waits for the next one of a pace is woken by the same tick.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval};

/// One ticker a pace, made when it is first asked for.
#[derive(Default)]
pub struct Steps(RefCell<HashMap<u64, Rc<Notify>>>);

impl Steps {
    /// Waits for the next step of a pace.
    pub async fn next(&self, pace_ms: u64) {
        let step = Rc::clone(
            self.0
                .borrow_mut()
                .entry(pace_ms)
                .or_insert_with(|| tick(pace_ms)),
        );
        step.notified().await;
    }
}

fn tick(pace_ms: u64) -> Rc<Notify> {
    let step = Rc::new(Notify::new());
    let made = Rc::clone(&step);
    spawn_local(async move {
        let mut ticks = interval(Duration::from_millis(pace_ms));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            made.notify_waiters();
        }
    });
    step
}
