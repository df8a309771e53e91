//! Where requests of one worker begin: a turn at an engine, admission, and a relay on the I/O
//! thread, which is started at the first one. After a fork it refuses.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use tokenmill_core::routing::{Policy, RetryBudget, session_point};
use tokenmill_core::sse::StreamShape;
use tokenmill_core::wallet::{Claimer, Refusal};

use super::bell::Bell;
use super::charge::{Admission, Charge};
use super::error::{EndReason, StartError};
use super::fleet::{Around, Fleet, FleetError};
use super::gate::{Asker, Entered, Gate};
use super::io_thread::{IoThread, Keeper, Shared, lock};
use super::journey::{Journey, Turn};
use super::limits::Limits;
use super::mailbox::Mailbox;
use super::pool::{Wish, missing_bytes, preferring};
use super::relay::Relay;
use super::request::{AnswerKind, Outbound};
use super::tally::Tally;
use super::tls::TlsRoots;
use crate::clock;
use crate::segment::Segment;

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
    /// Whether it is for an adapter that can be loaded where nobody holds it: then it may lack one.
    pub is_loadable: bool,
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
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    thread: Mutex<IoThread>,
    /// Where this worker found its last free cell.
    cells: Mutex<Claimer>,
    /// What is left for retries.
    retries: Arc<AtomicU32>,
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
            shared: Arc::default(),
            thread: Mutex::default(),
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
        let mut fleet = lock(&self.shared.fleet);
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
        let mut thread = lock(&self.thread);
        if matches!(*thread, IoThread::Unborn) {
            *thread = self.begin_thread()?;
        }
        let IoThread::Running {
            handle, next_id, ..
        } = &mut *thread
        else {
            return Err(StartError::Closed);
        };
        let fleet = self.shared.fleet();
        let id = *next_id;
        *next_id += 1;
        let asker = self.asker(&order, id);
        let wish = self.wish(&order, id);
        let turn = match self.turn(asker, &fleet, &order, &wish) {
            Ok(turn) => turn,
            Err(retry_after_ms) => return Ok(Started::Full { retry_after_ms }),
        };
        let tally = self.tally(&order);
        let payer = order.admission;
        let charge = match payer.map(|one| self.admit(one, started_ns)).transpose() {
            Ok(charge) => charge,
            Err(refusal) => return Ok(Started::Refused(refusal)),
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
            is_loadable: order.is_loadable,
        };
        let run = async move { journey.run(turn).await };
        let task = self.shared.spawn(handle, id, &mailbox, run);
        let shared = Arc::clone(&self.shared);
        Ok(Started::Relay(Relay::new(mailbox, task, shared, tally)))
    }

    /// Who waits for a place, if anybody does.
    fn asker(&self, order: &Order, id: u64) -> Option<Asker> {
        let account_id = order.asking()?;
        Some(Asker {
            account_id,
            weight: self.segment.weight(account_id),
            seed: id,
            is_typical: order.admission.is_some(),
        })
    }

    /// What counts its end, where somebody pays.
    fn tally(&self, order: &Order) -> Option<Tally> {
        order.admission.as_ref()?;
        Some(Tally {
            segment: Arc::clone(&self.segment),
            worker: self.worker,
            is_stream: order.kind == AnswerKind::Stream,
        })
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
        let thread = std::mem::replace(&mut *lock(&self.thread), IoThread::Closed);
        if std::process::id() != self.process {
            return;
        }
        self.shared.end_all(EndReason::Cancelled);
        *lock(&self.shared.fleet) = Arc::default();
        thread.stop();
    }

    fn begin_thread(&self) -> Result<IoThread, StartError> {
        let keeper = Keeper {
            shared: Arc::clone(&self.shared),
            segment: Arc::clone(&self.segment),
            worker: self.worker,
            gate: Arc::clone(&self.gate),
        };
        keeper.begin(&self.bell).map_err(StartError::Thread)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.close();
    }
}
