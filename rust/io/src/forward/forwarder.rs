//! The I/O thread of one worker and the relays that run on it.
//!
//! The thread starts at the first request and never waits for Python. A panic on it ends the
//! process: half a house that looks whole would be worse. After a fork it refuses.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenmill_core::routing::{Policy, RetryBudget, session_point};
use tokenmill_core::sse::StreamShape;
use tokenmill_core::wallet::{Claimer, Refusal};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::bell::Bell;
use super::charge::{Admission, Charge};
use super::error::{EndReason, StartError};
use super::fleet::{Around, Fleet, FleetError};
use super::gate::{Asker, Entered, Gate};
use super::journey::{Journey, Turn};
use super::limits::Limits;
use super::mailbox::{End, Mailbox};
use super::pool::{Wish, missing_bytes, preferring};
use super::relay::Relay;
use super::request::{AnswerKind, Outbound};
use super::tally::Tally;
use super::tls::TlsRoots;
use crate::clock;
use crate::segment::Segment;

/// How often the drain deadline is looked at and kept connections are swept.
const TICK: Duration = Duration::from_millis(100);
/// Milliseconds between looks for an engine that is far slower than its pool.
const PACES_MS: u64 = 1_000;
/// How long `close` waits for the thread.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// A request to forward.
#[derive(Debug)]
pub struct Order {
    /// Number of the pool in the fleet.
    pub pool: usize,
    /// What is sent.
    pub outbound: Outbound,
    /// What is made of the answer.
    pub kind: AnswerKind,
    /// What the client is to see.
    pub shape: StreamShape,
    /// Who pays; `None`: nobody.
    pub admission: Option<Admission>,
    /// The account whose turn it waits for, where nobody pays; `None`: a request of the house's
    /// own, which waits for none.
    pub account_id: Option<u64>,
    /// Requests of one session go to one engine, where the pool's policy is that.
    pub session: Option<String>,
}

impl Order {
    /// The account in whose name places at engines are asked for.
    fn asking(&self) -> Option<u64> {
        let payer = self.admission.as_ref();
        payer.map_or(self.account_id, |payer| Some(payer.request.account_id))
    }
}

/// What became of an order.
pub enum Started {
    /// It is on its way.
    Relay(Relay),
    /// It was not admitted.
    Refused(Refusal),
    /// No engine can serve it in time.
    Full {
        /// When to come back.
        retry_after_ms: u64,
    },
}

/// A worker's I/O thread and its connections to engines.
pub struct Forwarder {
    process: u32,
    limits: Limits,
    worker: usize,
    segment: Arc<Segment>,
    bell: Arc<Bell>,
    tls_roots: TlsRoots,
    house: Arc<House>,
    gate: Arc<Gate>,
    engine_room: Mutex<EngineRoom>,
    /// Where this worker found its last free cell.
    cells: Mutex<Claimer>,
    /// What is left for retries.
    retries: Arc<AtomicU32>,
}

/// What the thread and the callers share.
#[derive(Default)]
struct House {
    fleet: Mutex<Arc<Fleet>>,
    /// Relays under way, by id.
    running: Mutex<HashMap<u64, (Arc<Mailbox>, AbortHandle)>>,
}

/// The thread's life.
#[derive(Default)]
enum EngineRoom {
    #[default]
    Unlit,
    Running {
        handle: Handle,
        next_id: u64,
        stop: oneshot::Sender<()>,
        stopped: Receiver<()>,
    },
    Closed,
}

impl Forwarder {
    /// A forwarder without engines whose thread is not started yet.
    ///
    /// # Errors
    /// The system's, when no descriptor is left.
    pub fn new(segment: Arc<Segment>, worker: usize, limits: Limits) -> io::Result<Self> {
        Ok(Self {
            process: std::process::id(),
            gate: Gate::new(Arc::clone(&segment), worker, &limits),
            limits,
            worker,
            segment,
            bell: Arc::new(Bell::new()?),
            tls_roots: TlsRoots::default(),
            house: Arc::default(),
            engine_room: Mutex::default(),
            cells: Mutex::new(Claimer::new(u16::try_from(worker).unwrap_or(u16::MAX - 1))),
            retries: Arc::new(AtomicU32::new(RetryBudget::default().word())),
        })
    }

    /// The descriptor that is readable when relays are ready.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.bell.descriptor()
    }

    /// Moves the ids of all ready relays to `relays`, which must be empty.
    pub fn take_ready(&self, relays: &mut Vec<u64>) {
        self.bell.take(relays);
    }

    /// Replaces engines and pools; running relays keep the engine they have, and end when it is
    /// in no pool any more and stays silent. `places`: how many requests each engine takes at
    /// once, 0 or missing for any number.
    ///
    /// # Errors
    /// [`FleetError`]; the fleet before stays then.
    pub fn set_fleet(
        &self,
        engines: &[(usize, String, Option<String>)],
        pools: &[(Policy, Vec<usize>)],
        places: &[u64],
    ) -> Result<(), FleetError> {
        let engines_max = self.segment.layout().sizes().engines_max;
        let mut fleet = lock(&self.house.fleet);
        let around = Around {
            engines_max,
            tls_roots: &self.tls_roots,
            now_ms: clock::monotonic_ms(),
            places,
        };
        *fleet = Arc::new(Fleet::after(&fleet, engines, pools, &around)?);
        Ok(())
    }

    /// Admits a request, where somebody pays for it, and sends it on its way.
    ///
    /// # Errors
    /// [`StartError`]; never for the network, which is an event of the relay.
    pub fn start(&self, order: Order) -> Result<Started, StartError> {
        let started_ns = clock::monotonic_ns();
        if std::process::id() != self.process {
            return Err(StartError::Forked);
        }
        let mut room = lock(&self.engine_room);
        if matches!(*room, EngineRoom::Unlit) {
            *room = self.light()?;
        }
        let EngineRoom::Running {
            handle, next_id, ..
        } = &mut *room
        else {
            return Err(StartError::Closed);
        };
        let fleet = Arc::clone(&lock(&self.house.fleet));
        let id = *next_id;
        *next_id += 1;
        let asker = order.asking().map(|account_id| Asker {
            account_id,
            weight: self.segment.weight(account_id),
            seed: id,
            is_typical: order.admission.is_some(),
        });
        let wish = self.wish(&order, id);
        let turn = match self.turn(asker, &fleet, &order, &wish) {
            Ok(turn) => turn,
            Err(retry_after_ms) => return Ok(Started::Full { retry_after_ms }),
        };
        let tally = order.admission.map(|_| Tally {
            segment: Arc::clone(&self.segment),
            worker: self.worker,
            is_stream: order.kind == AnswerKind::Stream,
        });
        let charge = match order
            .admission
            .map(|admission| self.admit(admission, started_ns))
        {
            Some(Err(refusal)) => return Ok(Started::Refused(refusal)),
            Some(Ok(charge)) => Some(charge),
            None => None,
        };
        let mailbox = Arc::new(Mailbox::new(id, Arc::clone(&self.bell), charge));
        let journey = Journey {
            mailbox: Arc::clone(&mailbox),
            outbound: order.outbound,
            kind: order.kind,
            shape: order.shape,
            fleet,
            pool: order.pool,
            wish,
            limits: self.limits,
            segment: Arc::clone(&self.segment),
            worker: self.worker,
            started_ns,
            gate: Arc::clone(&self.gate),
            asker,
            retries: Arc::clone(&self.retries),
        };
        let listed = Listed {
            house: Arc::clone(&self.house),
            id,
        };
        // Held over the spawn: the task takes itself off the list, and must find itself there.
        let mut running = lock(&self.house.running);
        let task = handle.spawn(async move {
            let _listed = listed;
            let _guard = AbortOnPanic;
            journey.run(turn).await;
        });
        let task = task.abort_handle();
        running.insert(id, (Arc::clone(&mailbox), task.clone()));
        Ok(Started::Relay(Relay::new(mailbox, task, tally)))
    }

    /// What a request goes by in the choice of its engine.
    fn wish(&self, order: &Order, id: u64) -> Wish {
        let owner = order.asking();
        let session = order.session.as_deref();
        Wish {
            owner,
            session: session.map(|name| session_point(name, owner.unwrap_or(0))),
            seed: id << 12 ^ (self.worker << 2) as u64,
        }
    }

    /// Where a request begins: before anything is held for it, so that what cannot be served in
    /// time is told at once; then when to come back.
    fn turn(
        &self,
        asker: Option<Asker>,
        fleet: &Fleet,
        order: &Order,
        wish: &Wish,
    ) -> Result<Turn, u64> {
        let pool = fleet.pool(order.pool);
        let bounded = pool.filter(|pool| pool.has_places());
        let (Some(asker), Some(pool)) = (asker, bounded) else {
            return Ok(Turn::Open);
        };
        let beginnings = pool.beginnings(&self.segment, wish, order.outbound.body());
        let choice = pool.choose(&self.segment, wish, &beginnings, &[]);
        let engines = preferring(choice.map(|(engine, _)| engine), pool.engines());
        match self.gate.enter(asker, engines) {
            Entered::Placed(mut place) => {
                place.give(missing_bytes(choice, &beginnings, &place));
                Ok(Turn::Placed(place))
            }
            Entered::Waiting(waiting) => Ok(Turn::Waiting(waiting)),
            Entered::Full { retry_after_ms } => Err(retry_after_ms),
            Entered::Nowhere => Ok(Turn::Open),
        }
    }

    fn admit(&self, mut admission: Admission, now_ns: u64) -> Result<Charge, Refusal> {
        admission.request.began_ns = now_ns;
        admission.request.began_wall_ms = clock::wall_ms();
        let enforce = admission.enforce;
        let admitted = self
            .segment
            .admit(&mut lock(&self.cells), &admission.request, enforce)?;
        let segment = Arc::clone(&self.segment);
        Ok(Charge::new(
            segment,
            admitted.hold,
            &admission,
            admitted.overlooked,
        ))
    }

    /// Ends all relays, stops the thread and closes its sockets; waits at most a second.
    pub fn close(&self) {
        let room = std::mem::replace(&mut *lock(&self.engine_room), EngineRoom::Closed);
        if std::process::id() != self.process {
            return;
        }
        self.house.end_all(EndReason::Cancelled);
        *lock(&self.house.fleet) = Arc::default();
        if let EngineRoom::Running { stop, stopped, .. } = room {
            let _ = stop.send(());
            // A late thread ends by itself; the caller must not hang on it.
            let _ = stopped.recv_timeout(CLOSE_WAIT);
        }
    }

    /// Starts the thread.
    fn light(&self) -> Result<EngineRoom, StartError> {
        let bell = Arc::clone(&self.bell);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || bell.end_turn())
            .build()
            .map_err(StartError::Thread)?;
        let handle = runtime.handle().clone();
        let (stop, stopping) = oneshot::channel();
        let (done, stopped) = sync_channel(1);
        let keeper = Keeper {
            house: Arc::clone(&self.house),
            segment: Arc::clone(&self.segment),
            worker: self.worker,
            gate: Arc::clone(&self.gate),
        };
        let bell = Arc::clone(&self.bell);
        std::thread::Builder::new()
            .name("tokenmill-io".to_owned())
            .spawn(move || {
                let _guard = AbortOnPanic;
                Bell::begin_turns();
                keeper.run(runtime, stopping);
                bell.end_turn();
                let _ = done.send(());
            })
            .map_err(StartError::Thread)?;
        Ok(EngineRoom::Running {
            handle,
            next_id: 0,
            stop,
            stopped,
        })
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.close();
    }
}

impl House {
    fn end_all(&self, reason: EndReason) {
        for (mailbox, task) in lock(&self.running).values() {
            mailbox.put_end(End::bare(reason, false));
            task.abort();
        }
    }
}

/// What the thread does besides relaying.
struct Keeper {
    house: Arc<House>,
    segment: Arc<Segment>,
    worker: usize,
    gate: Arc<Gate>,
}

impl Keeper {
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
                self.house.end_all(EndReason::Drained);
            }
            let fleet = Arc::clone(&lock(&self.house.fleet));
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
    house: Arc<House>,
    id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&self.house.running).remove(&self.id);
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
