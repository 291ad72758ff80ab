//! A one-member store inside another process: no port is open, connections are pipes.

use std::io;
use std::path::Path;

use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::config::Config;
use crate::error::Result;
use crate::listen::Connection;
use crate::member::Member;

/// Bytes in a pipe before its writer waits.
const PIPE_BYTES: usize = 256 << 10;
/// Connections that the server has not picked up yet.
const CONNECTIONS_WAITING: usize = 16;

/// A running store. It stops with [`Embedded::shutdown`]; dropping it leaves the data as a crash would.
pub struct Embedded {
    member: Member,
    connections: mpsc::Sender<DuplexStream>,
    server: tokio::task::JoinHandle<()>,
}

/// Opens connections to an embedded store. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    connections: mpsc::Sender<DuplexStream>,
}

impl Connector {
    /// Connections go to whoever takes them from the queue.
    #[cfg(test)]
    pub(crate) fn from_queue(connections: mpsc::Sender<DuplexStream>) -> Self {
        Self { connections }
    }

    /// A new connection: speak HTTP/2 into it.
    ///
    /// # Errors
    /// The store has stopped.
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        self.connections.send(theirs).await.map_err(|_| io::Error::other("the embedded store has stopped"))?;
        Ok(ours)
    }

    /// A lazy channel, which connects again when a connection breaks.
    pub fn channel(&self) -> Channel {
        let connector = self.clone();
        Endpoint::from_static("http://embedded").connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
            let connector = connector.clone();
            async move { connector.connect().await.map(TokioIo::new) }
        }))
    }
}

impl Embedded {
    /// Opens `data_dir` (made when it does not exist) with default settings.
    ///
    /// # Errors
    /// As [`Embedded::with`].
    pub async fn start(data_dir: &Path) -> Result<Self> {
        Self::with(Config { data_dir: data_dir.to_path_buf(), ..Config::defaults() }).await
    }

    /// Opens a store with these settings; its listen URLs and certificates are not used.
    ///
    /// # Errors
    /// A directory that is in use, damaged or of a newer format.
    pub async fn with(mut config: Config) -> Result<Self> {
        config.initial_cluster = String::new();
        config.validate()?;
        let member = Member::open(&config, None).await?;
        let (connections, waiting) = mpsc::channel(CONNECTIONS_WAITING);
        let incoming = ReceiverStream::new(waiting).map(|io| Ok::<_, io::Error>(Connection::pipe(io)));
        let router = member.client_router();
        let server = tokio::spawn(async move {
            if let Err(error) = router.serve_with_incoming(incoming).await {
                tracing::error!(%error, "the embedded store's server failed");
            }
        });
        Ok(Self { member, connections, server })
    }

    pub fn connector(&self) -> Connector {
        Connector { connections: self.connections.clone() }
    }

    /// A channel for the gRPC clients of `kuorum-proto`.
    pub fn channel(&self) -> Channel {
        self.connector().channel()
    }

    /// Resolves, with the reason, when the store had to leave service. The process should exit then.
    pub async fn fatal(&self) -> String {
        self.member.fatal().await
    }

    /// Stops, and makes the state durable.
    pub async fn shutdown(self) {
        self.member.shutdown().await;
        self.server.abort();
        // The task holds services, and with them the database, until it is gone.
        let _ = self.server.await;
    }
}
