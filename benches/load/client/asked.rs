//! What the command line asks for.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// No answer may be silent for longer.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);

/// One run.
pub struct Asked {
    pub port: u16,
    pub connections: usize,
    pub warm_up: Duration,
    pub seconds: Duration,
    pub watch: Vec<String>,
    pub answer: Option<PathBuf>,
    path: String,
    bearer: String,
    body: PathBuf,
}

impl Asked {
    pub fn of(mut arguments: impl Iterator<Item = String>) -> io::Result<Self> {
        let mut asked = Self {
            port: 0,
            connections: 1,
            warm_up: Duration::ZERO,
            seconds: Duration::from_secs(1),
            watch: Vec::new(),
            answer: None,
            path: "/v1/chat/completions".to_owned(),
            bearer: String::new(),
            body: PathBuf::new(),
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| unclear(&name))?;
            match name.as_str() {
                "--port" => asked.port = parsed(&name, &value)?,
                "--connections" => asked.connections = parsed(&name, &value)?,
                "--warm-up" => asked.warm_up = Duration::from_secs_f64(parsed(&name, &value)?),
                "--seconds" => asked.seconds = Duration::from_secs_f64(parsed(&name, &value)?),
                "--watch" => asked.watch.push(value),
                "--answer" => asked.answer = Some(value.into()),
                "--path" => asked.path = value,
                "--bearer" => asked.bearer = value,
                "--request" => asked.body = value.into(),
                _ => return Err(unclear(&name)),
            }
        }
        Ok(asked)
    }

    /// The bytes of the request, as a client library writes them.
    pub fn request(&self) -> io::Result<Vec<u8>> {
        let body = std::fs::read(&self.body)?;
        let mut request = format!(
            "POST {} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\naccept: application/json\r\n\
             accept-encoding: identity\r\nuser-agent: OpenAI/Python 3.54.0\r\n\
             authorization: Bearer {}\r\nx-stainless-lang: python\r\nx-stainless-os: Linux\r\n\
             x-stainless-arch: x64\r\nx-stainless-runtime: CPython\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.path,
            self.port,
            self.bearer,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        Ok(request)
    }
}

fn parsed<T: std::str::FromStr>(name: &str, value: &str) -> io::Result<T> {
    value.parse().map_err(|_| unclear(name))
}

fn unclear(name: &str) -> io::Error {
    io::Error::other(format!("unclear argument: {name}"))
}
