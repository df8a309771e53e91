//! The engines a forwarder knows, their pools, and the connections kept open to each.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokenmill_core::routing::Policy;
use tokio_rustls::TlsConnector;

use super::address::{Place, parse_url};
use super::connection::Link;
use super::pool::Pool;
use super::tls::TlsRoots;

/// How long after an engine left the fleet its silence is taken for its end. One that was told to
/// stop may refuse connections and still finish the answers it has begun.
pub(super) const DEPARTED: Duration = Duration::from_secs(10);
/// Kept connections older than this are closed: most servers close theirs after 5 to 75 seconds.
const IDLE_MS_MAX: u64 = 60_000;

/// Where an engine listens.
#[derive(Clone)]
pub(super) enum EngineAddress {
    /// Host without brackets, and port.
    Tcp(String, u16),
    /// The same, encrypted.
    Tls(String, u16, TlsConnector),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// An engine that cannot be used as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FleetError {
    /// Not `http://host[:port][/path]`, `https://…` or `unix:/path`.
    Url(String),
    /// A token that no header can carry; names the engine's URL, not the token.
    Token(String),
    /// The system has no certificates to trust; names the engine's URL.
    Roots(String),
    /// No such slot in the segment.
    Slot(usize),
}

impl fmt::Display for FleetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(
                out,
                "engine URL {url:?} is not http(s)://host:port with an optional path, or unix:/path"
            ),
            Self::Roots(url) => write!(
                out,
                "engine {url:?} cannot be trusted: no root certificates were found on this system"
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
    /// When it was found to be in no pool any more; 0 while it is in one.
    departed_ms: AtomicU64,
    /// Requests that it takes at once; 0: no number.
    places: AtomicU64,
}

impl Engine {
    fn parse(
        slot: usize,
        url: &str,
        token: Option<&str>,
        roots: &TlsRoots,
    ) -> Result<Self, FleetError> {
        let wrong_url = || FleetError::Url(url.to_owned());
        let parsed = parse_url(url).ok_or_else(wrong_url)?;
        let address = match parsed.place {
            Place::Tcp(host, port) => EngineAddress::Tcp(host, port),
            Place::Unix(path) => EngineAddress::Unix(path),
            Place::Tls(host, port) => {
                let connector = roots.connector();
                let connector = connector.ok_or_else(|| FleetError::Roots(url.to_owned()))?;
                EngineAddress::Tls(host, port, connector)
            }
        };
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
            host: HeaderValue::from_str(&parsed.host).map_err(|_| wrong_url())?,
            base_path: parsed.base_path,
            authorization,
            idle: Mutex::default(),
            departed_ms: AtomicU64::new(0),
            places: AtomicU64::new(0),
        })
    }

    pub(super) fn slot(&self) -> usize {
        self.slot
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Requests that it takes at once, over all workers; 0: no number.
    pub(super) fn places(&self) -> u64 {
        self.places.load(Ordering::Relaxed)
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

    /// Whether it has been out of every pool for so long that silence means its end.
    pub(super) fn has_departed(&self, now_ms: u64) -> bool {
        let since_ms = self.departed_ms.load(Ordering::Relaxed);
        since_ms != 0 && Duration::from_millis(now_ms.saturating_sub(since_ms)) >= DEPARTED
    }

    fn note_place(&self, is_in_pool: bool, now_ms: u64) {
        let departed_ms = if is_in_pool {
            0
        } else {
            match self.departed_ms.load(Ordering::Relaxed) {
                0 => now_ms,
                since_ms => since_ms,
            }
        };
        self.departed_ms.store(departed_ms, Ordering::Relaxed);
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

/// What a fleet is made in.
pub(super) struct Around<'a> {
    /// Engine slots of the segment.
    pub engines_max: usize,
    /// For engines behind `https://`.
    pub tls_roots: &'a TlsRoots,
    /// Monotonic milliseconds.
    pub now_ms: u64,
    /// Requests that each engine takes at once, in their order; 0 or missing: no number.
    pub places: &'a [u64],
}

/// Engines and pools at one time.
#[derive(Default)]
pub struct Fleet {
    engines: Vec<Arc<Engine>>,
    pools: Vec<Pool>,
}

impl Fleet {
    /// A fleet that keeps the connections of the engines it has in common with the one `before`;
    /// the engines that are left out learn of it.
    ///
    /// # Errors
    /// [`FleetError`] naming what is wrong; nothing has changed then.
    pub(super) fn after(
        before: &Self,
        engines: &[(usize, String, Option<String>)],
        pools: &[(Policy, Vec<usize>)],
        around: &Around<'_>,
    ) -> Result<Self, FleetError> {
        let mut known: Vec<Arc<Engine>> = Vec::with_capacity(engines.len());
        for (slot, url, token) in engines {
            if *slot >= around.engines_max {
                return Err(FleetError::Slot(*slot));
            }
            let fresh = Engine::parse(*slot, url, token.as_deref(), around.tls_roots)?;
            let kept = before.engines.iter().find(|old| old.is_same(&fresh));
            known.push(kept.map_or_else(|| Arc::new(fresh), Arc::clone));
        }
        for (at, engine) in known.iter().enumerate() {
            let places = around.places.get(at).copied().unwrap_or(0);
            engine.places.store(places, Ordering::Relaxed);
        }
        let find = |slot: &usize| {
            let engine = known.iter().find(|engine| engine.slot == *slot);
            engine.cloned().ok_or(FleetError::Slot(*slot))
        };
        let pools: Vec<Pool> = pools
            .iter()
            .enumerate()
            .map(|(at, (policy, slots))| {
                let engines: Result<_, _> = slots.iter().map(find).collect();
                Ok(Pool::new(*policy, engines?).following(before.pool(at)))
            })
            .collect::<Result<_, _>>()?;
        for engine in before.engines.iter().chain(&known) {
            let mut pooled = pools.iter().flat_map(Pool::engines);
            engine.note_place(pooled.any(|each| Arc::ptr_eq(each, engine)), around.now_ms);
        }
        Ok(Self {
            engines: known,
            pools,
        })
    }

    pub(super) fn engines(&self) -> &[Arc<Engine>] {
        &self.engines
    }

    /// A pool, if there is such a one.
    pub(super) fn pool(&self, pool: usize) -> Option<&Pool> {
        self.pools.get(pool)
    }

    pub(super) fn pools(&self) -> &[Pool] {
        &self.pools
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_left_every_pool_has_departed_after_a_while() {
        let listed = |url: &str| vec![(0, url.to_owned(), None)];
        let after = |before: &Fleet, url: &str, pools: &[Vec<usize>], now_ms| {
            let around = Around {
                engines_max: 4,
                tls_roots: &TlsRoots::default(),
                now_ms,
                places: &[],
            };
            let pools: Vec<_> = pools
                .iter()
                .cloned()
                .map(|one| (Policy::Prefix, one))
                .collect();
            Fleet::after(before, &listed(url), &pools, &around).expect("a good fleet")
        };
        let wait_ms = u64::try_from(DEPARTED.as_millis()).expect("seconds");
        let first = after(&Fleet::default(), "http://a", &[vec![0]], 1_000);
        let engine = Arc::clone(&first.engines[0]);
        assert!(!engine.has_departed(1_000 + 10 * wait_ms));

        let gone = after(&first, "http://a", &[], 2_000);
        // Said again: it has been gone since the first time.
        let gone = after(&gone, "http://a", &[], 3_000);
        assert!(!engine.has_departed(2_000 + wait_ms - 1));
        assert!(engine.has_departed(2_000 + wait_ms));

        let back = after(&gone, "http://a", &[vec![0]], 4_000);
        assert!(!engine.has_departed(4_000 + 10 * wait_ms));

        // Another engine in its slot.
        after(&back, "http://b", &[vec![0]], 5_000);
        assert!(engine.has_departed(5_000 + wait_ms));
    }
}
