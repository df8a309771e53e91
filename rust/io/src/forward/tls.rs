//! Encryption towards engines behind `https://`: the system's own roots, HTTP/1.1 alone.
//!
//! The roots are read when the first such engine appears, so that nobody else pays for them.
//! `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.

use std::io;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Where a forwarder keeps its connector.
#[derive(Default)]
pub(super) struct TlsRoots(OnceLock<Option<TlsConnector>>);

impl TlsRoots {
    /// The connector, or `None` when this system has no roots to trust.
    pub fn connector(&self) -> Option<TlsConnector> {
        self.0.get_or_init(read_roots).clone()
    }
}

fn read_roots() -> Option<TlsConnector> {
    let mut roots = RootCertStore::empty();
    // Some stores hold certificates that are not well formed; the others still count.
    let (added, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return None;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(TlsConnector::from(Arc::new(config)))
}

/// The stream, encrypted, once the engine has proven to be `host`.
pub(super) async fn encrypt(
    connector: &TlsConnector,
    host: &str,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    connector.connect(name, stream).await
}
