//! An engine that answers from memory in vLLM's words, cheap enough not to be what is measured.
//!
//! Listens on a free loopback port and prints it. Two fields of a request say how it is answered:
//! `max_tokens` is the number of tokens of a stream, `seed` the milliseconds between two of them (0
//! or absent: all at once). Paced streams get their tokens together, as the steps of an engine make
//! them. Usage is sent as `stream_options` asks.

mod answers;
mod asked;
mod steps;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Write};
use std::rc::Rc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

use answers::StreamKind;
use asked::{Asked, Request};
use steps::Steps;

const READ_BYTES: usize = 256 * 1024;

/// What all connections share.
struct Engine {
    whole: Vec<u8>,
    bursts: RefCell<HashMap<StreamKind, Rc<[u8]>>>,
    steps: Steps,
}

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, accept())
}

async fn accept() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    io::stdout().flush()?;
    let engine = Rc::new(Engine {
        whole: answers::whole(),
        bursts: RefCell::default(),
        steps: Steps::default(),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let engine = Rc::clone(&engine);
        spawn_local(async move {
            // A client that leaves in mid-answer is no news.
            let _ = serve(&stream, &engine).await;
        });
    }
}

async fn serve(stream: &TcpStream, engine: &Engine) -> io::Result<()> {
    let mut received = Vec::with_capacity(READ_BYTES);
    while let Some(request) = read_request(stream, &mut received).await? {
        let asked = Asked::read(&received[request.body_from..request.end]);
        let is_post = received.starts_with(b"POST");
        let path = String::from_utf8_lossy(&received[request.path.clone()]).into_owned();
        received.drain(..request.end);
        if !is_post || !path.ends_with("/chat/completions") {
            write_all(stream, &answers::about(&path)).await?;
        } else if !asked.is_stream {
            write_all(stream, &engine.whole).await?;
        } else if asked.pace_ms == 0 {
            let burst = engine.burst(asked.stream_kind());
            write_all(stream, &burst).await?;
        } else {
            engine.pace(stream, &asked).await?;
        }
    }
    Ok(())
}

impl Engine {
    fn burst(&self, kind: StreamKind) -> Rc<[u8]> {
        let mut bursts = self.bursts.borrow_mut();
        let made = || Rc::from(answers::stream(kind).concat());
        Rc::clone(bursts.entry(kind).or_insert_with(made))
    }

    async fn pace(&self, stream: &TcpStream, asked: &Asked) -> io::Result<()> {
        let kind = asked.stream_kind();
        for piece in 0..kind.pieces() {
            self.steps.next(asked.pace_ms).await;
            write_all(stream, &answers::piece(kind, piece)).await?;
        }
        Ok(())
    }
}

/// The next request, whole, at the front of `received`; `None` when the client has left.
async fn read_request(stream: &TcpStream, received: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some(request) = Request::find(received) {
            return Ok(Some(request));
        }
        stream.readable().await?;
        let length = received.len();
        received.resize(length + READ_BYTES, 0);
        let read = stream.try_read(&mut received[length..]);
        received.truncate(length + read.as_ref().map_or(0, |count| *count));
        match read {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
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
