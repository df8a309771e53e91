//! The URL of an engine: `http://`, `https://` or `unix:`, and nothing that a request would lose.

use std::path::PathBuf;

use http::Uri;
use tokio_rustls::rustls::pki_types::ServerName;

/// Where a URL points.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(String, u16),
    Tls(String, u16),
    Unix(PathBuf),
}

/// An engine's URL, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParsedUrl {
    pub place: Place,
    /// The `Host` header.
    pub host: String,
    /// What stands before every target; empty, or `/…` without a slash at its end.
    pub base_path: String,
}

/// Takes an engine's URL apart; `None` when it is none.
pub(super) fn parse_url(url: &str) -> Option<ParsedUrl> {
    if let Some(path) = url.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return path.starts_with('/').then(|| ParsedUrl {
            place: Place::Unix(PathBuf::from(path)),
            host: "localhost".to_owned(),
            base_path: String::new(),
        });
    }
    let parsed: Uri = url.parse().ok()?;
    let authority = parsed.authority()?;
    if authority.as_str().contains('@') || parsed.query().is_some() || url.contains('#') {
        return None;
    }
    let host = authority.host();
    let bare = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let port = authority.port().map(|port| port.as_u16());
    let place = match parsed.scheme_str() {
        Some("http") if !bare.is_empty() => Place::Tcp(bare, port.unwrap_or(80)),
        Some("https") if ServerName::try_from(bare.as_str()).is_ok() => {
            Place::Tls(bare, port.unwrap_or(443))
        }
        _ => return None,
    };
    Some(ParsedUrl {
        place,
        host: authority.as_str().to_owned(),
        base_path: parsed.path().trim_end_matches('/').to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of(url: &str) -> Option<(Place, String)> {
        parse_url(url).map(|parsed| (parsed.place, parsed.base_path))
    }

    #[test]
    fn urls_of_engines_are_read() {
        let tcp = |host: &str, port| Place::Tcp(host.to_owned(), port);
        let tls = |host: &str, port| Place::Tls(host.to_owned(), port);
        let cases = [
            ("http://10.0.0.1:8000", tcp("10.0.0.1", 8000), ""),
            ("http://engine", tcp("engine", 80), ""),
            ("https://engine", tls("engine", 443), ""),
            ("https://[::1]:8443/a", tls("::1", 8443), "/a"),
            ("http://[::1]:9/", tcp("::1", 9), ""),
            ("http://engine:8000/a/b/", tcp("engine", 8000), "/a/b"),
            ("unix:/run/c.sock", Place::Unix("/run/c.sock".into()), ""),
        ];
        for (url, place, base_path) in cases {
            assert_eq!(place_of(url), Some((place, base_path.to_owned())), "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        // Another scheme, user and password, a query, a relative path, no host, no name, nothing.
        for url in [
            "ftp://engine",
            "http://u:p@engine",
            "http://engine/?a=b",
            "unix:run.sock",
            "http://:80",
            "https://not_a-.name-",
            "",
        ] {
            assert_eq!(place_of(url), None, "{url}");
        }
    }
}
