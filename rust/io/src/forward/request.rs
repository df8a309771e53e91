//! The request as it goes to an engine.

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;

use super::error::StartError;
use super::fleet::Engine;

/// Headers in the order they came.
pub type Headers = Vec<(HeaderName, HeaderValue)>;

/// What is made of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    /// Server-sent events: framed, metered, stripped.
    Stream,
    /// One JSON body: collected, metered.
    Whole,
    /// Anything, passed on.
    Plain,
}

/// A request that can be sent to any engine of a pool, as often as need be.
#[derive(Debug, Clone)]
pub struct Outbound {
    method: Method,
    target: String,
    headers: Headers,
    body: Bytes,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// Headers about one connection, not about the message. Source: RFC 9110, 7.6.1.
const HOP_BY_HOP: [&str; 7] = [
    // We have the whole body already: nobody needs to be asked for it.
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
];

impl Outbound {
    /// A POST of JSON. `trace`: what the engine is told of the trace that this is a part of, and
    /// the state that goes with it. Source: W3C, Trace Context.
    ///
    /// # Errors
    /// [`StartError`] when the target, the request id or the trace cannot stand in HTTP.
    pub fn json(
        target: &str,
        body: Bytes,
        kind: AnswerKind,
        request_id: &str,
        trace: Option<(String, Option<String>)>,
    ) -> Result<Self, StartError> {
        let accept = match kind {
            AnswerKind::Stream => "text/event-stream",
            AnswerKind::Whole | AnswerKind::Plain => "application/json",
        };
        let value = |text: String| HeaderValue::try_from(text).map_err(|_| StartError::Request);
        let mut headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static(accept)),
            (REQUEST_ID, value(request_id.to_owned())?),
        ];
        if let Some((parent, state)) = trace {
            headers.push((TRACE_PARENT, value(parent)?));
            if let Some(state) = state {
                headers.push((TRACE_STATE, value(state)?));
            }
        }
        Self::checked(Method::POST, target, headers, body)
    }

    /// Any request; headers about the connection it came on are left out.
    ///
    /// # Errors
    /// [`StartError`] when a part of it cannot stand in HTTP.
    pub fn plain(
        method: &str,
        target: &str,
        headers: &[(&[u8], &[u8])],
        body: &[u8],
    ) -> Result<Self, StartError> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| StartError::Request)?;
        let mut parsed = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name).map_err(|_| StartError::Request)?;
            let value = HeaderValue::from_bytes(value).map_err(|_| StartError::Request)?;
            parsed.append(name, value);
        }
        parsed.remove(HOST);
        parsed.remove(CONTENT_LENGTH);
        let body = Bytes::copy_from_slice(body);
        Self::checked(method, target, end_to_end(&parsed), body)
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether sending it twice does what sending it once does. Source: RFC 9110, 9.2.2.
    pub(super) fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// Lets go of the body: nobody is sent it any more.
    pub(super) fn drop_body(&mut self) {
        self.body = Bytes::new();
    }

    /// The request as this engine is to get it.
    pub(super) fn to(&self, engine: &Engine) -> Result<Request<Full<Bytes>>, StartError> {
        let target: Uri = if engine.base_path().is_empty() {
            self.target.parse()
        } else {
            format!("{}{}", engine.base_path(), self.target).parse()
        }
        .map_err(|_| StartError::Target)?;
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target;
        let headers = request.headers_mut();
        headers.reserve(self.headers.len() + 3);
        headers.insert(HOST, engine.host().clone());
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        if let Some(token) = engine.authorization() {
            headers.insert(AUTHORIZATION, token.clone());
        }
        if !self.body.is_empty() || self.method == Method::POST {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        Ok(request)
    }

    fn checked(
        method: Method,
        target: &str,
        headers: Headers,
        body: Bytes,
    ) -> Result<Self, StartError> {
        let parsed: Result<Uri, _> = target.parse();
        if !target.starts_with('/') || parsed.is_err() {
            return Err(StartError::Target);
        }
        Ok(Self {
            method,
            target: target.to_owned(),
            headers,
            body,
        })
    }
}

/// The headers that belong to the message, not to the connection it came on.
pub(super) fn end_to_end(headers: &HeaderMap) -> Headers {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    headers
        .iter()
        .filter(|(name, _)| {
            !matches!(**name, CONNECTION | TRANSFER_ENCODING | UPGRADE)
                && !HOP_BY_HOP.contains(&name.as_str())
                && !named.iter().any(|one| one == name.as_str())
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
