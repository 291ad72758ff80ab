//! How a front-end reaches the store's members: addresses, TLS, and the connector that tests and `kuorum dev` replace.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// How long a member may take to accept a connection before another one is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// HTTP/2 pings find a member that is gone without a word, and a front-end fails over in seconds.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Events and ranges are large; the default window of 64 KiB would pace a load by round trips.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// Where the store is.
#[derive(Clone)]
pub struct Config {
    /// The members' client URLs, `https://host:port`. Any of them may be down.
    pub members: Vec<String>,
    pub connect: Arc<dyn Connect>,
    /// 16 bytes, unique to this front-end's life: the store applies each of its transactions at most once.
    pub client_id: [u8; 16],
}

impl Config {
    pub fn new(members: Vec<String>, connect: impl Connect + 'static) -> Self {
        Config { members, connect: Arc::new(connect), client_id: *uuid::Uuid::new_v4().as_bytes() }
    }
}

/// Why a member could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{url}: {source}")]
    Transport { url: String, source: tonic::transport::Error },
    #[error("cannot read {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Other(String),
}

/// Opens a channel to one member. A closure `Fn(String) -> Future<Result<Channel, ConnectError>>` is one.
pub trait Connect: Send + Sync {
    fn connect(&self, url: String) -> Pin<Box<dyn Future<Output = Result<Channel, ConnectError>> + Send + '_>>;
}

impl<F, R> Connect for F
where
    F: Fn(String) -> R + Send + Sync,
    R: Future<Output = Result<Channel, ConnectError>> + Send + 'static,
{
    fn connect(&self, url: String) -> Pin<Box<dyn Future<Output = Result<Channel, ConnectError>> + Send + '_>> {
        Box::pin(self(url))
    }
}

/// Mutual TLS from PEM files, which are read again for every connection: rotation needs no restart.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Verifies the members.
    pub ca: PathBuf,
    /// This front-end's certificate (role `front-end`) and key.
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Connect for TlsFiles {
    fn connect(&self, url: String) -> Pin<Box<dyn Future<Output = Result<Channel, ConnectError>> + Send + '_>> {
        Box::pin(async move {
            let read = async |path: &PathBuf| {
                tokio::fs::read(path).await.map_err(|source| ConnectError::File { path: path.clone(), source })
            };
            let identity = Identity::from_pem(read(&self.cert).await?, read(&self.key).await?);
            let tls =
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&self.ca).await?)).identity(identity);
            let transport = |source| ConnectError::Transport { url: url.clone(), source };
            endpoint(&url)?.tls_config(tls).map_err(transport)?.connect().await.map_err(transport)
        })
    }
}

/// The transport settings of a connection to a member, before TLS. For own connectors
/// (`endpoint(url)?.connect_with_connector(…)`).
pub fn endpoint(url: &str) -> Result<Endpoint, ConnectError> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|source| ConnectError::Transport { url: url.to_owned(), source })?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES))
}
