//! One running member, assembled in reading order: directory, log, state machine, consensus, services, housekeeping.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kuorum_proto::v1::MemberListRequest;
use kuorum_proto::v1::cluster_client::ClusterClient;
use kuorum_proto::v1::cluster_server::ClusterServer;
use kuorum_proto::v1::store_server::StoreServer;
use kuorum_raft::ports::{LogDisk, Member as RaftMember};
use kuorum_raft::{Node, NodeConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::Router;

use crate::config::{Config, Listen};
use crate::connect::PeerConnector;
use crate::data_dir::{DataDir, Identity};
use crate::engine::{Home, LogTuning, RaftLogDb};
use crate::error::{Error, Result};
use crate::fence::Fences;
use crate::housekeeping::Housekeeping;
use crate::listen;
use crate::machine::{Machine, Store};
use crate::propose::Proposer;
use crate::service::{ClusterService, StoreService, raft_only_peers};
use crate::tls::Tls;

/// Largest message: a transaction with a few objects of the largest size, or a chunk of events that holds one.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Recent log entries in memory, for replication and apply. Followers that are further behind read the disk.
const LOG_TAIL_BYTES: usize = 2 << 20;
/// Entries kept behind a snapshot, for members that were away for a moment.
const LOG_KEEP_ENTRIES: u64 = 5_000;
/// Bytes of log after which a snapshot is made, whatever the number of entries: it bounds disk use and restart.
const SNAPSHOT_LOG_BYTES: u64 = 64 << 20;
/// Flow-control window of a stream and of a connection: a session's events and several ranges in flight.
const WINDOW_BYTES: u32 = 4 << 20;
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long streams get to end when the member stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// Between questions to a cluster that this member wants to join.
const JOIN_RETRY: Duration = Duration::from_secs(1);

/// A member without its listeners.
pub struct Member {
    pub node: Arc<Node<Machine>>,
    pub store: Arc<Store>,
    store_service: StoreService,
    cluster_service: ClusterService,
    stop: CancellationToken,
    /// Ends the streams of clients, when consensus has stopped.
    streams: CancellationToken,
    /// Last, so that everything else is closed when another process may take the directory.
    _directory: DataDir,
}

impl Member {
    /// Opens the directory and starts consensus. Nothing is served yet.
    ///
    /// # Errors
    /// A directory that is in use, damaged or of a newer format; a log that lost acknowledged entries.
    pub async fn open(config: &Config, peer_tls: Option<Arc<Tls>>) -> Result<Self> {
        let on_disk = |directory: &DataDir| {
            let log = RaftLogDb::open(&directory.raft_log(), LogTuning::default())?;
            Ok((log, Home::Disk(directory.state())))
        };
        Self::open_on(config, peer_tls, on_disk).await
    }

    /// As [`Member::open`], with a log and a home for the state of the caller's choice.
    pub(crate) async fn open_on<D: LogDisk>(
        config: &Config,
        peer_tls: Option<Arc<Tls>>,
        ground: impl FnOnce(&DataDir) -> Result<(D, Home)>,
    ) -> Result<Self> {
        crate::metrics::install();
        let directory = DataDir::open(&config.data_dir)?;
        let connector = Arc::new(PeerConnector::new(peer_tls));
        let known = directory.identity()?;
        let initial = config.initial_members()?;
        let cluster_id = kuorum_raft::cluster_id(&config.initial_cluster_token);
        let identity = match &known {
            Some(identity) if identity.name != config.name => {
                return Err(Error::WrongMember { found: identity.name.clone(), wanted: config.name.clone() });
            }
            Some(identity) => identity.clone(),
            None if config.initial_cluster_state == "existing" => {
                let member_id = join(config, &initial, &connector).await?;
                Identity { name: config.name.clone(), member_id, cluster_id }
            }
            None => {
                let member_id = kuorum_raft::member_id(cluster_id, &config.name, 0);
                Identity { name: config.name.clone(), member_id, cluster_id }
            }
        };
        let (log, home) = ground(&directory)?;
        let (machine, store) = Machine::open(home)?;
        let node_config = node_config(config, &identity, &directory);
        let node = Arc::new(Node::start(node_config, log, machine, connector.clone()).await?);
        if known.is_none() {
            directory.set_identity(&identity)?;
        }
        if config.initial_cluster_state == "new" && !node.is_initialized().await? {
            let members = initial.into_iter().map(|(name, peer_urls)| {
                let client_urls = if name == config.name { config.advertised_client_urls() } else { Vec::new() };
                let id = kuorum_raft::member_id(cluster_id, &name, 0);
                // Every first member must propose the same; client URLs follow when each publishes its own.
                let client_urls = if config.initial_cluster.is_empty() { client_urls } else { Vec::new() };
                (id, RaftMember { name, peer_urls, client_urls })
            });
            node.initialize(members.collect()).await?;
        }
        let fences = Fences::start(node.clone(), store.clone());
        let proposer = Proposer::start(node.clone(), store.clone(), identity.member_id, config.quota_backend_bytes);
        let (stop, streams) = (CancellationToken::new(), CancellationToken::new());
        Housekeeping {
            node: node.clone(),
            store: store.clone(),
            connector: connector.clone(),
            identity: identity.clone(),
            member: RaftMember {
                name: config.name.clone(),
                peer_urls: config.advertised_peer_urls(),
                client_urls: config.advertised_client_urls(),
            },
            retention: config.auto_compaction_retention,
            corrupt_check: config.corrupt_check_time,
        }
        .start(&stop);
        let store_service = StoreService::new(
            node.clone(),
            store.clone(),
            fences.clone(),
            proposer,
            identity.member_id,
            streams.clone(),
        );
        let cluster_service = ClusterService {
            node: node.clone(),
            store: store.clone(),
            fences,
            connector,
            identity,
            quota_bytes: config.quota_backend_bytes,
            saves: directory.saves(),
        };
        Ok(Self { node, store, store_service, cluster_service, stop, streams, _directory: directory })
    }

    pub fn member_id(&self) -> u64 {
        self.cluster_service.identity.member_id
    }

    /// What front-ends and operators may call.
    pub fn client_router(&self) -> Router {
        let store = StoreServer::new(self.store_service.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        server().add_service(store).add_service(ClusterServer::new(self.cluster_service.clone()))
    }

    /// What other members may call.
    pub fn peer_router(&self) -> Router {
        let raft = tonic::service::interceptor::InterceptedService::new(
            self.node.service(),
            raft_only_peers(self.node.status()),
        );
        server().add_service(raft).add_service(ClusterServer::new(self.cluster_service.clone()))
    }

    /// Resolves, with the reason, when the member had to leave service.
    pub async fn fatal(&self) -> String {
        let mut fatal = self.node.fatal();
        match fatal.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "consensus has stopped".into(),
        }
    }

    /// Hands leadership over, stops, and makes the state durable so that the next start has nothing to replay.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.node.shutdown().await;
        self.streams.cancel();
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || store.close()).await {
            Ok(Ok(())) => {}
            outcome => tracing::warn!(?outcome, "the state was not flushed; the log has it"),
        }
    }
}

fn server() -> Server {
    Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
}

fn node_config(config: &Config, identity: &Identity, directory: &DataDir) -> NodeConfig {
    let election = Duration::from_millis(config.election_timeout);
    NodeConfig {
        heartbeat_interval: Duration::from_millis(config.heartbeat_interval),
        election_timeout_min: election,
        // Consensus asks for less than twice the shortest one.
        election_timeout_max: election * 13 / 10,
        snapshot_entries: config.snapshot_count,
        snapshot_bytes: SNAPSHOT_LOG_BYTES,
        keep_entries: LOG_KEEP_ENTRIES,
        tail_bytes: LOG_TAIL_BYTES,
        ..NodeConfig::new(identity.member_id, &identity.name, identity.cluster_id, directory.snapshots())
    }
}

/// Asks the cluster that this member was added to for the id that it was given.
async fn join(config: &Config, initial: &BTreeMap<String, Vec<String>>, connector: &PeerConnector) -> Result<u64> {
    let mut last = "no other member in --initial-cluster".to_string();
    let others: Vec<_> = initial.iter().filter(|(name, _)| **name != config.name).collect();
    for attempt in 0..JOIN_ATTEMPTS {
        for (name, urls) in &others {
            let channel = connector.open(urls, Some(name)).map_err(|e| Error::Join(e.to_string()))?;
            match ClusterClient::new(channel).member_list(MemberListRequest {}).await {
                Ok(list) => {
                    let members = list.into_inner().members;
                    if let Some(member) = members.into_iter().find(|m| m.name == config.name) {
                        return Ok(member.id);
                    }
                    last = format!("{name} knows no member {:?}: add it with `kuorum ctl member add`", config.name);
                }
                Err(status) => last = format!("{name}: {}", status.message()),
            }
        }
        if others.is_empty() || attempt + 1 == JOIN_ATTEMPTS {
            break;
        }
        tokio::time::sleep(JOIN_RETRY).await;
    }
    Err(Error::Join(last))
}

/// Rounds of questions before a member that wants to join gives up.
const JOIN_ATTEMPTS: usize = 10;

/// Sockets that are bound before anything is opened: a port in use is found out first.
pub(crate) struct Listeners {
    pub peers: Vec<TcpListener>,
    pub clients: Vec<TcpListener>,
    pub metrics: Vec<TcpListener>,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Self> {
        Ok(Self {
            peers: bind(&config.peer_listeners()?).await?,
            clients: bind(&config.client_listeners()?).await?,
            metrics: bind(&config.metrics_listeners()?).await?,
        })
    }
}

async fn bind(listeners: &[Listen]) -> Result<Vec<TcpListener>> {
    let mut bound = Vec::new();
    for Listen { host, port } in listeners {
        let listener = TcpListener::bind((host.as_str(), *port)).await;
        bound.push(listener.map_err(|source| Error::Listen { address: format!("{host}:{port}"), source })?);
    }
    Ok(bound)
}

/// Runs a member until `shutdown` resolves, then stops it in good order.
///
/// # Errors
/// What keeps it from starting, or the reason why it had to leave service; each is one clear line.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send) -> Result<()> {
    config.validate()?;
    let listeners = Listeners::bind(&config).await?;
    serve(config, listeners, shutdown).await
}

/// [`run`] on sockets that are there.
pub(crate) async fn serve(
    config: Config,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<()> {
    let load = |files: Option<crate::tls::Files>| files.map(Tls::new).transpose().map(|t| t.map(Arc::new));
    let client_tls = load(config.client_tls()?).map_err(crate::config::Error::from)?;
    let peer_tls = load(config.peer_tls()?).map_err(crate::config::Error::from)?;
    let member = Member::open(&config, peer_tls.clone()).await?;
    let stop = CancellationToken::new();
    let mut servers = tokio::task::JoinSet::new();
    let Listeners { peers, clients, metrics } = listeners;
    for (sockets, tls, peer) in [(peers, peer_tls, true), (clients, client_tls, false)] {
        for listener in sockets {
            let router = if peer { member.peer_router() } else { member.client_router() };
            let incoming = listen::accept(listener, tls.clone());
            servers.spawn(router.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned()));
        }
    }
    for listener in metrics {
        let (node, store) = (member.node.clone(), member.store.clone());
        tokio::spawn(crate::metrics::serve(listener, node, store, stop.clone()));
    }
    tracing::info!(
        name = config.name,
        member_id = format!("{:016x}", member.member_id()),
        peers = ?config.listen_peer_urls,
        clients = ?config.listen_client_urls,
        revision = member.store.hub().now().revision,
        "storage member is serving"
    );
    let fatal = tokio::select! {
        () = shutdown => None,
        reason = member.fatal() => Some(reason),
    };
    member.shutdown().await;
    stop.cancel();
    // Streams that their clients keep open do not keep the process.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, async { while servers.join_next().await.is_some() {} }).await;
    servers.shutdown().await;
    match fatal {
        Some(reason) => Err(Error::LeftService(reason)),
        None => Ok(()),
    }
}
