//! The I/O thread of one worker: its life, the relays that run on it, and what it does beside them.
//!
//! It never waits for Python. A panic on it ends the process: half a house that looks whole would
//! be worse.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::bell::Bell;
use super::error::EndReason;
use super::events::End;
use super::fleet::Fleet;
use super::gate::Gate;
use super::mailbox::Mailbox;
use crate::clock;
use crate::segment::Segment;

/// How often the drain deadline is looked at and kept connections are swept.
const TICK: Duration = Duration::from_millis(100);
/// Milliseconds between looks for an engine that is far slower than its pool.
const PACES_MS: u64 = 1_000;
/// How long a stop waits for the thread.
const STOP_WAIT: Duration = Duration::from_secs(1);

/// The thread's life.
#[derive(Default)]
pub(super) enum IoThread {
    #[default]
    Unborn,
    Running {
        handle: Handle,
        next_id: u64,
        stop: oneshot::Sender<()>,
        stopped: Receiver<()>,
    },
    Closed,
}

impl IoThread {
    /// Ends it, if it runs; one that is late ends by itself, as the caller must not hang on it.
    pub fn stop(self) {
        if let Self::Running { stop, stopped, .. } = self {
            let _ = stop.send(());
            let _ = stopped.recv_timeout(STOP_WAIT);
        }
    }
}

/// What the thread and its callers share.
#[derive(Default)]
pub(super) struct Shared {
    pub fleet: Mutex<Arc<Fleet>>,
    /// Relays under way, by id.
    running: Mutex<HashMap<u64, (Arc<Mailbox>, AbortHandle)>>,
}

impl Shared {
    /// The fleet of now.
    pub fn fleet(&self) -> Arc<Fleet> {
        Arc::clone(&lock(&self.fleet))
    }

    /// Runs a relay on the thread, on the list until it ends.
    pub fn spawn(
        self: &Arc<Self>,
        handle: &Handle,
        id: u64,
        mailbox: &Arc<Mailbox>,
        run: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        let listed = Listed {
            shared: Arc::clone(self),
            id,
        };
        // Held over the spawn: the task takes itself off the list, and must find itself there.
        let mut running = lock(&self.running);
        let task = handle.spawn(async move {
            let _listed = listed;
            let _guard = AbortOnPanic;
            run.await;
        });
        let task = task.abort_handle();
        running.insert(id, (Arc::clone(mailbox), task.clone()));
        task
    }

    /// Ends all relays.
    pub fn end_all(&self, reason: EndReason) {
        for (mailbox, task) in lock(&self.running).values() {
            mailbox.put_end(End::bare(reason, false));
            task.abort();
        }
    }
}

/// What the thread does besides relaying.
pub(super) struct Keeper {
    pub shared: Arc<Shared>,
    pub segment: Arc<Segment>,
    pub worker: usize,
    pub gate: Arc<Gate>,
}

impl Keeper {
    /// Starts the thread; the bell tells of what its relays bring.
    ///
    /// # Errors
    /// The system's, when it has no room for a thread.
    pub fn begin(self, bell: &Arc<Bell>) -> io::Result<IoThread> {
        let parked = Arc::clone(bell);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || parked.end_turn())
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopping) = oneshot::channel();
        let (done, stopped) = sync_channel(1);
        let bell = Arc::clone(bell);
        std::thread::Builder::new()
            .name("tokenmill-io".to_owned())
            .spawn(move || {
                let _guard = AbortOnPanic;
                Bell::begin_turns();
                self.run(runtime, stopping);
                bell.end_turn();
                let _ = done.send(());
            })?;
        Ok(IoThread::Running {
            handle,
            next_id: 0,
            stop,
            stopped,
        })
    }

    fn run(self, runtime: Runtime, stopping: oneshot::Receiver<()>) {
        runtime.block_on(async {
            tokio::select! {
                () = self.tend() => {}
                () = Arc::clone(&self.gate).look() => {}
                _ = stopping => {}
            }
        });
        // Drops every task, and with it every socket, but does not wait for a slow name look-up.
        runtime.shutdown_background();
    }

    async fn tend(&self) {
        let mut ticks = interval(TICK);
        let mut paced_ms = 0;
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now_ms = clock::monotonic_ms();
            let deadline_ms = self.segment.drain_deadline_ms(self.worker);
            self.gate.set_closed(deadline_ms != 0);
            if deadline_ms != 0 && now_ms >= deadline_ms {
                self.shared.end_all(EndReason::Drained);
            }
            let fleet = self.shared.fleet();
            for engine in fleet.engines() {
                engine.sweep_idle(now_ms);
            }
            if now_ms >= paced_ms + PACES_MS {
                paced_ms = now_ms;
                for pool in fleet.pools() {
                    pool.exclude_slowest(&self.segment, now_ms);
                }
            }
        }
    }
}

/// Takes a task off the list, however it ends.
struct Listed {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&self.shared.running).remove(&self.id);
    }
}

/// Ends the process when the thread it stands on panics.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// The value, whatever became of who held it last.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
