//! The load: kept connections that ask again as soon as they have their answer.
//!
//! ```text
//! bench_client --port N --request FILE [--path P] [--bearer SECRET] [--connections N]
//!     [--seconds S] [--warm-up S] [--watch NAME:PID,PID]... [--answer FILE]
//! ```
//!
//! Prints one JSON line: what came within `seconds`, how long answers took, and what processor time
//! the watched processes used meanwhile. Every answer is compared with the first one, byte for
//! byte; one that is under way at the end is compared as far as it has come. The first answer's
//! body is written to `--answer`, for the caller to judge.

mod answer;
mod asked;
mod processes;
mod report;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use answer::Answer;
use asked::Asked;
use processes::Watched;
use report::Report;

const READ_BYTES: usize = 256 * 1024;
const LOOK: Duration = Duration::from_millis(10);

/// What has come so far, of all connections.
#[derive(Default)]
pub struct Tally {
    is_measured: Cell<bool>,
    /// Connections that have got the first bytes of a body.
    begun: Cell<u64>,
    answers: Cell<u64>,
    events: Cell<u64>,
    bytes: Cell<u64>,
    /// Answers that were not as the first.
    different: Cell<u64>,
    times_us: RefCell<Vec<u32>>,
    /// The longest body so far, which all others are compared with.
    first: RefCell<Vec<u8>>,
}

fn main() -> io::Result<()> {
    let asked = Asked::of(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = LocalSet::new().block_on(&runtime, load(asked))?;
    println!("{report}");
    Ok(())
}

async fn load(asked: Asked) -> io::Result<Report> {
    let tally = Rc::new(Tally::default());
    let watched = Watched::of(&asked.watch);
    let request: Rc<[u8]> = Rc::from(asked.request()?);
    let workers: Vec<_> = (0..asked.connections)
        .map(|_| spawn_local(ask(asked.port, Rc::clone(&request), Rc::clone(&tally))))
        .collect();
    sleep(asked.warm_up).await;
    let has_failed = || workers.iter().any(JoinHandle::is_finished);
    wait_for(|| has_failed() || tally.begun.get() == asked.connections as u64).await?;
    let before = (tally.counts(), watched.read());
    let began = Instant::now();
    tally.is_measured.set(true);
    sleep(asked.seconds).await;
    wait_for(|| has_failed() || tally.counts() != before.0).await?;
    tally.is_measured.set(false);
    let seconds = began.elapsed().as_secs_f64();
    let after = (tally.counts(), watched.read());
    for worker in workers {
        if worker.is_finished() {
            let ended = worker.await.map_err(io::Error::other)?;
            return Err(ended.err().unwrap_or_else(|| io::Error::other("ended")));
        }
        worker.abort();
    }
    if let Some(path) = &asked.answer {
        std::fs::write(path, &*tally.first.borrow())?;
    }
    let mut times_us = tally.times_us.take();
    times_us.sort_unstable();
    Ok(Report {
        seconds,
        before,
        after,
        different: tally.different.get(),
        times_us,
    })
}

/// Waits for what a busy machine may be late with; bounded.
async fn wait_for(is_there: impl Fn() -> bool) -> io::Result<()> {
    let deadline = Instant::now() + asked::SILENCE_MAX;
    while !is_there() {
        if Instant::now() > deadline {
            return Err(io::Error::other("not every connection was answered"));
        }
        sleep(LOOK).await;
    }
    Ok(())
}

impl Tally {
    /// Answers, events and body bytes.
    fn counts(&self) -> [u64; 3] {
        [self.answers.get(), self.events.get(), self.bytes.get()]
    }

    fn take_bytes(&self, body: &[u8], seen: &mut usize) {
        let fresh = &body[*seen..];
        add(&self.bytes, fresh.len());
        // An event's end may be cut in two: the byte before is looked at again.
        let from = seen.saturating_sub(1);
        add(
            &self.events,
            memchr::memmem::find_iter(&body[from..], b"\n\n").count(),
        );
        let mut first = self.first.borrow_mut();
        let known = first.len().min(body.len());
        if *seen < known && first[*seen..known] != body[*seen..known] {
            add(&self.different, 1);
        }
        if body.len() > first.len() {
            let from = first.len();
            first.extend_from_slice(&body[from..]);
        }
        *seen = body.len();
    }

    fn take_answer(&self, body: &[u8], took_us: u128) {
        add(&self.answers, 1);
        if body.len() != self.first.borrow().len() {
            add(&self.different, 1);
        }
        if self.is_measured.get() {
            let took_us = u32::try_from(took_us).unwrap_or(u32::MAX);
            self.times_us.borrow_mut().push(took_us);
        }
    }
}

/// One connection's life: ends with an error alone.
async fn ask(port: u16, request: Rc<[u8]>, tally: Rc<Tally>) -> io::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut answer = Answer::default();
    let mut has_begun = false;
    loop {
        let began = Instant::now();
        write_all(&stream, &request).await?;
        answer.begin();
        let mut seen = 0;
        while !answer.is_whole() {
            let read = read_some(&stream, &mut buffer).await?;
            answer.feed(&buffer[..read])?;
            tally.take_bytes(answer.body(), &mut seen);
            if seen > 0 && !std::mem::replace(&mut has_begun, true) {
                add(&tally.begun, 1);
            }
        }
        tally.take_answer(answer.body(), began.elapsed().as_micros());
    }
}

async fn read_some(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.try_read(buffer) {
            Ok(0) => return Err(io::Error::other("the connection was closed in mid-answer")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let ready = timeout(asked::SILENCE_MAX, stream.readable());
                ready.await.map_err(io::Error::other)??;
            }
            read => return read,
        }
    }
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn add(cell: &Cell<u64>, amount: usize) {
    cell.set(cell.get() + amount as u64);
}
