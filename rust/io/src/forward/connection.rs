//! One HTTP/1.1 connection to an engine, driven by the task that uses it and by nobody else.
//!
//! hyper's connection is polled together with the answer, not on a task of its own: when the
//! relay's task is dropped, in whatever phase, the socket closes with it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::fleet::EngineAddress;
use super::tls::encrypt;

/// Headers an answer may have, and their bytes together with the read buffer's.
const HEADERS_MAX: usize = 100;
const READ_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// A byte stream to an engine.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

type Driver = Connection<TokioIo<Box<dyn Socket>>, Full<Bytes>>;

/// A connection and the state it is in.
pub struct Link {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
    /// The driver has ended: it must not be polled again.
    is_over: bool,
    /// It has carried an answer before.
    is_reused: bool,
}

impl Link {
    /// Connects; `TCP_NODELAY` is set.
    pub async fn open(address: &EngineAddress) -> io::Result<Self> {
        let socket: Box<dyn Socket> = match address {
            EngineAddress::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            EngineAddress::Tls(host, port, connector) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Box::new(encrypt(connector, host, stream).await?)
            }
            EngineAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
        };
        let (sender, driver) = Builder::new()
            .max_headers(HEADERS_MAX)
            .max_buf_size(READ_BUFFER_BYTES_MAX)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(io::Error::other)?;
        Ok(Self {
            sender,
            driver,
            is_over: false,
            is_reused: false,
        })
    }

    /// Whether it has carried an answer before.
    pub fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Whether the other side has not been seen to leave. Used while no request is under way.
    pub fn is_alive(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.is_over && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        let mut answer = Box::pin(self.sender.try_send_request(request));
        let (driver, is_over) = (&mut self.driver, &mut self.is_over);
        poll_fn(|context| {
            if !*is_over {
                // An error of the connection reaches the answer, which says what it means.
                *is_over = Pin::new(&mut *driver).poll(context).is_ready();
            }
            answer.as_mut().poll(context)
        })
        .await
    }

    /// The next piece of a body; `None` is its proper end.
    pub fn poll_body(
        &mut self,
        body: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Poll::Ready(piece) = Pin::new(&mut *body).poll_frame(context) {
            return Poll::Ready(piece);
        }
        self.drive(context);
        Pin::new(body).poll_frame(context)
    }

    /// After an answer was read to its end: whether the connection can carry another.
    pub async fn is_reusable(&mut self) -> bool {
        let is_ready = poll_fn(|context| {
            self.drive(context);
            if self.is_over {
                return Poll::Ready(false);
            }
            self.sender.poll_ready(context).map(|ready| ready.is_ok())
        })
        .await;
        self.is_reused = true;
        is_ready
    }

    fn drive(&mut self, context: &mut Context<'_>) {
        if !self.is_over {
            self.is_over = Pin::new(&mut self.driver).poll(context).is_ready();
        }
    }
}
