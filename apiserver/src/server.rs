//! The server: listens, terminates TLS, hands requests to the layers, drains.

use std::net::SocketAddr;

use kuorum_cache::Store;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError};

/// Why a front-end did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("{0}")]
    Tls(String),
    #[error("store: {0}")]
    Store(String),
}

/// Runs a front-end until `shutdown` is cancelled and everything in flight is drained. Connects to
/// `config.storage_servers`.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), ServeError> {
    config.validate()?;
    let _ = shutdown;
    Err(ServeError::Store("no store".into()))
}

/// As [`run`], on a store that the caller has connected (`kuorum dev`, tests). `started` is called with the address
/// once the front-end is ready.
pub async fn run_embedded(
    config: Config,
    store: Store,
    shutdown: CancellationToken,
    started: impl FnOnce(SocketAddr) + Send,
) -> Result<(), ServeError> {
    config.validate()?;
    let _ = (store, shutdown, started);
    Err(ServeError::Store("not serving".into()))
}
