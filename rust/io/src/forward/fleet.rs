//! The engines a forwarder knows, their pools, and the connections kept open to each.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderValue, Uri};

use super::connection::Link;

/// How long an engine that could not be connected to comes last in the choice.
const SUSPECT_MS: u64 = 1_000;
/// Kept connections older than this are closed: most servers close theirs after 5 to 75 seconds.
const IDLE_MS_MAX: u64 = 60_000;

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAddress {
    /// Host without brackets, and port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// An engine that cannot be used as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FleetError {
    /// Not `http://host[:port][/path]` or `unix:/path`.
    Url(String),
    /// A token that no header can carry; names the engine's URL, not the token.
    Token(String),
    /// No such slot in the segment.
    Slot(usize),
}

impl fmt::Display for FleetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(
                out,
                "engine URL {url:?} is not http://host:port with an optional path, or unix:/path"
            ),
            Self::Token(url) => write!(out, "the token of engine {url:?} cannot stand in a header"),
            Self::Slot(slot) => write!(out, "engine slot {slot} is not one of the fleet"),
        }
    }
}

impl std::error::Error for FleetError {}

/// A kept connection and since when it is idle.
struct Idle {
    link: Link,
    since_ms: u64,
}

/// One engine. No `Debug`: it holds a token.
pub struct Engine {
    slot: usize,
    url: String,
    address: EngineAddress,
    host: HeaderValue,
    base_path: String,
    authorization: Option<HeaderValue>,
    idle: Mutex<VecDeque<Idle>>,
    suspect_until_ms: AtomicU64,
}

impl Engine {
    fn parse(slot: usize, url: &str, token: Option<&str>) -> Result<Self, FleetError> {
        let wrong_url = || FleetError::Url(url.to_owned());
        let (address, host, base_path) = parse_url(url).ok_or_else(wrong_url)?;
        let authorization = token
            .map(|token| HeaderValue::from_str(&format!("Bearer {token}")))
            .transpose()
            .map_err(|_| FleetError::Token(url.to_owned()))?
            .map(|mut value| {
                value.set_sensitive(true);
                value
            });
        Ok(Self {
            slot,
            url: url.to_owned(),
            address,
            host: HeaderValue::from_str(&host).map_err(|_| wrong_url())?,
            base_path,
            authorization,
            idle: Mutex::default(),
            suspect_until_ms: AtomicU64::new(0),
        })
    }

    pub(super) fn slot(&self) -> usize {
        self.slot
    }

    pub(super) fn address(&self) -> &EngineAddress {
        &self.address
    }

    pub(super) fn host(&self) -> &HeaderValue {
        &self.host
    }

    pub(super) fn base_path(&self) -> &str {
        &self.base_path
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    pub(super) fn is_suspect(&self, now_ms: u64) -> bool {
        now_ms < self.suspect_until_ms.load(Ordering::Relaxed)
    }

    pub(super) fn suspect(&self, now_ms: u64) {
        self.suspect_until_ms
            .store(now_ms + SUSPECT_MS, Ordering::Relaxed);
    }

    pub(super) fn trust(&self) {
        self.suspect_until_ms.store(0, Ordering::Relaxed);
    }

    /// The connection used last, if one is kept.
    pub(super) fn take_idle(&self) -> Option<Link> {
        self.lock_idle().pop_back().map(|idle| idle.link)
    }

    /// Keeps a connection for later; the oldest goes when there are too many.
    pub(super) fn keep(&self, link: Link, now_ms: u64, idle_connections_max: usize) {
        let mut idle = self.lock_idle();
        idle.push_back(Idle {
            link,
            since_ms: now_ms,
        });
        while idle.len() > idle_connections_max {
            idle.pop_front();
        }
    }

    /// Closes every kept connection.
    pub(super) fn drop_idle(&self) {
        self.lock_idle().clear();
    }

    /// Closes kept connections that the engine has left or that are too old.
    pub(super) fn sweep_idle(&self, now_ms: u64) {
        self.lock_idle().retain_mut(|idle| {
            now_ms.saturating_sub(idle.since_ms) < IDLE_MS_MAX && idle.link.is_alive()
        });
    }

    fn is_same(&self, other: &Self) -> bool {
        self.slot == other.slot
            && self.url == other.url
            && self.authorization == other.authorization
    }

    fn lock_idle(&self) -> std::sync::MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Engines and pools at one time.
#[derive(Default)]
pub struct Fleet {
    engines: Vec<Arc<Engine>>,
    pools: Vec<Vec<Arc<Engine>>>,
}

impl Fleet {
    /// A fleet that keeps the connections of the engines it has in common with the one `before`.
    ///
    /// # Errors
    /// [`FleetError`] naming what is wrong; nothing has changed then.
    pub fn after(
        before: &Self,
        engines: &[(usize, String, Option<String>)],
        pools: &[Vec<usize>],
        engines_max: usize,
    ) -> Result<Self, FleetError> {
        let mut known: Vec<Arc<Engine>> = Vec::with_capacity(engines.len());
        for (slot, url, token) in engines {
            if *slot >= engines_max {
                return Err(FleetError::Slot(*slot));
            }
            let fresh = Engine::parse(*slot, url, token.as_deref())?;
            let kept = before.engines.iter().find(|old| old.is_same(&fresh));
            known.push(kept.map_or_else(|| Arc::new(fresh), Arc::clone));
        }
        let find = |slot: &usize| {
            let engine = known.iter().find(|engine| engine.slot == *slot);
            engine.cloned().ok_or(FleetError::Slot(*slot))
        };
        let pools = pools
            .iter()
            .map(|slots| slots.iter().map(find).collect())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            engines: known,
            pools,
        })
    }

    pub(super) fn engines(&self) -> &[Arc<Engine>] {
        &self.engines
    }

    /// The engines of a pool; none when there is no such pool.
    pub(super) fn pool(&self, pool: usize) -> &[Arc<Engine>] {
        self.pools.get(pool).map_or(&[], Vec::as_slice)
    }
}

/// Address, `Host` header and base path of an engine's URL.
fn parse_url(url: &str) -> Option<(EngineAddress, String, String)> {
    if let Some(path) = url.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        let address = EngineAddress::Unix(PathBuf::from(path));
        return path
            .starts_with('/')
            .then(|| (address, "localhost".to_owned(), String::new()));
    }
    let parsed: Uri = url.parse().ok()?;
    let authority = parsed.authority()?;
    let is_plain = parsed.scheme_str() == Some("http") && !authority.as_str().contains('@');
    if !is_plain || parsed.query().is_some() || url.contains('#') {
        return None;
    }
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.is_empty() {
        return None;
    }
    let port = match authority.port() {
        Some(port) => port.as_u16(),
        None => 80,
    };
    let base_path = parsed.path().trim_end_matches('/').to_owned();
    let address = EngineAddress::Tcp(bare.to_owned(), port);
    Some((address, authority.as_str().to_owned(), base_path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address_of(url: &str) -> Option<(EngineAddress, String)> {
        parse_url(url).map(|(address, _, base_path)| (address, base_path))
    }

    #[test]
    fn urls_of_engines_are_read() {
        let tcp = |host: &str, port| EngineAddress::Tcp(host.to_owned(), port);
        let cases = [
            ("http://10.0.0.1:8000", tcp("10.0.0.1", 8000), ""),
            ("http://engine", tcp("engine", 80), ""),
            ("http://[::1]:9/", tcp("::1", 9), ""),
            ("http://engine:8000/a/b/", tcp("engine", 8000), "/a/b"),
            (
                "unix:/run/c.sock",
                EngineAddress::Unix("/run/c.sock".into()),
                "",
            ),
        ];
        for (url, address, base_path) in cases {
            assert_eq!(
                address_of(url),
                Some((address, base_path.to_owned())),
                "{url}"
            );
        }
    }

    #[test]
    fn other_urls_are_refused() {
        // Another scheme, user and password, a query, a relative path, no host, nothing.
        for url in [
            "https://engine",
            "http://u:p@engine",
            "http://engine/?a=b",
            "unix:run.sock",
            "http://:80",
            "",
        ] {
            assert_eq!(address_of(url), None, "{url}");
        }
    }
}
