//! Connections to other members: this member's certificate, and a check that the other end is the member it should be.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kuorum_raft::ports::{Connector, Member, NodeId};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::tls::{Identity, Role, Tls};

/// A member that does not answer within it counts as down; consensus tries again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Flow-control window of a connection between members: a few batches of entries in flight.
const WINDOW_BYTES: u32 = 4 << 20;

/// Opens channels to peer URLs.
pub struct PeerConnector {
    tls: Option<Arc<Tls>>,
}

impl PeerConnector {
    /// Without TLS only loopback addresses are connected to.
    pub fn new(tls: Option<Arc<Tls>>) -> Self {
        Self { tls }
    }

    /// A lazy channel to whoever listens at one of `urls`, tried in order. With `name`, the certificate at the other
    /// end must be that member's.
    ///
    /// # Errors
    /// No URL, or one that is none.
    pub fn open(&self, urls: &[String], name: Option<&str>) -> io::Result<Channel> {
        let targets: Vec<Uri> = urls
            .iter()
            .map(|url| url.parse().map_err(|e| io::Error::other(format!("peer URL {url:?}: {e}"))))
            .collect::<io::Result<_>>()?;
        let first = targets.first().ok_or_else(|| io::Error::other("member without a peer URL"))?;
        let authority = first.authority().ok_or_else(|| io::Error::other(format!("peer URL {first} has no host")))?;
        // TLS is ours, so the endpoint must not look for its own.
        let endpoint = Endpoint::from_shared(format!("http://{authority}"))
            .map_err(io::Error::other)?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .tcp_nodelay(true);
        let (tls, name) = (self.tls.clone(), name.map(str::to_string));
        Ok(endpoint.connect_with_connector_lazy(tower_connector(move || {
            let (tls, name, targets) = (tls.clone(), name.clone(), targets.clone());
            async move { connect_any(&targets, tls.as_deref(), name.as_deref()).await }
        })))
    }
}

impl Connector for PeerConnector {
    fn channel(&self, _id: NodeId, member: &Member) -> io::Result<Channel> {
        self.open(&member.peer_urls, Some(&member.name))
    }
}

/// What a connector yields: a byte stream with or without TLS.
pub trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Stream for T {}

type Io = hyper_util::rt::TokioIo<Box<dyn Stream>>;

/// A tower service that connects, whatever the URI: the targets are known already.
fn tower_connector<F, Fut>(
    connect: F,
) -> impl tower::Service<Uri, Response = Io, Error = io::Error, Future = impl Send> + Send + 'static
where
    F: Fn() -> Fut + Send + 'static,
    Fut: Future<Output = io::Result<Box<dyn Stream>>> + Send + 'static,
{
    tower::service_fn(move |_: Uri| {
        let connecting = connect();
        async move { Ok(hyper_util::rt::TokioIo::new(connecting.await?)) }
    })
}

async fn connect_any(targets: &[Uri], tls: Option<&Tls>, name: Option<&str>) -> io::Result<Box<dyn Stream>> {
    let mut last = io::Error::other("no address");
    for target in targets {
        match connect(target, tls, name).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect(target: &Uri, tls: Option<&Tls>, name: Option<&str>) -> io::Result<Box<dyn Stream>> {
    let host = target.host().ok_or_else(|| io::Error::other(format!("{target} has no host")))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = target.port_u16().ok_or_else(|| io::Error::other(format!("{target} has no port")))?;
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        if !stream.peer_addr()?.ip().is_loopback() {
            return Err(io::Error::other(format!("{target}: without certificates only loopback is connected to")));
        }
        return Ok(Box::new(stream));
    };
    let server = ServerName::try_from(host.to_string()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(tls.client()).connect(server, stream).await?;
    if let Some(name) = name {
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let leaf = leaf.ok_or_else(|| io::Error::other(format!("{target}: no certificate")))?;
        let identity = Identity::from_certificate(leaf).map_err(io::Error::other)?;
        if identity.role != Some(Role::Peer) || identity.name != name {
            return Err(io::Error::other(format!(
                "{target} has the certificate of {:?}, not of member {name:?}",
                identity.name
            )));
        }
    }
    Ok(Box::new(stream))
}
