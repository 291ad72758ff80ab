//! A cluster of members in one process that can be killed, cut off from power and started again.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use kuorum_raft::{
    Node, NodeConfig, ProposeError, cluster_id, member_id,
    memory::{MemoryLog, MemoryMachine},
    network,
    ports::{Connector, Member, NodeId, PeerIdentity},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Status,
    service::Interceptor,
    transport::{Channel, Endpoint, Server},
};

/// The longest that anything here may take, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// What stands for the certificate's name in tests: the sender writes it, the receiver's "TLS layer" reads it.
pub const TEST_IDENTITY: &str = "test-identity";

/// Plain connections on which each member calls itself by its own name.
struct PlainConnector;

impl Connector for PlainConnector {
    fn channel(&self, _id: NodeId, member: &Member) -> io::Result<Channel> {
        let url = member.peer_urls.first().ok_or_else(|| io::Error::other("no address"))?;
        Ok(network::tune(Endpoint::from_shared(url.clone()).map_err(io::Error::other)?).connect_lazy())
    }
}

/// Plays the receiver's TLS layer: who sends is looked up by the id it claims, unless the test says who it is.
#[derive(Clone)]
struct Identify(Arc<Vec<(NodeId, String)>>);

impl Interceptor for Identify {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let text = |key: &str| request.metadata().get(key).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let known = |id: String| self.0.iter().find(|(known, _)| known.to_string() == id).map(|(_, name)| name.clone());
        let is_test = request.metadata().get("user-agent").is_some_and(|agent| agent.as_bytes().starts_with(b"tonic"));
        let name = text(TEST_IDENTITY).or_else(|| {
            // Members do not write the header; a test that leaves it out has no certificate.
            let member = text("kuorum-from").and_then(known);
            member.filter(|_| is_test && !request.extensions().get::<NoIdentity>().is_some() && text("grpc-timeout").is_none())
        });
        if let Some(name) = name {
            request.extensions_mut().insert(PeerIdentity { name });
        }
        Ok(request)
    }
}

#[derive(Clone)]
struct NoIdentity;
