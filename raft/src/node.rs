//! The handle of one running member: propose, read, wait, watch, stop. Administration is in [`crate::admin`].

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use kuorum_proto::v1::raft_server::RaftServer;
use openraft::{
    Raft, async_runtime::watch::WatchReceiver, errors::ClientWriteError, impls::ProgressResponder,
    raft::ClientWriteResult,
};
use parking_lot::Mutex;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

use crate::{
    config::{ConfigError, NodeConfig},
    log_io::LogIoThread,
    log_store::LogStore,
    machine::Machine,
    monitor::{Monitor, SnapshotPolicy},
    network::{
        client::{Network, Transport},
        server::RaftService,
    },
    ports::{Connector, LogDisk, LogId, Member, NodeId, StateMachine, StoredMembership},
    read::ReadIndex,
    snapshot::SnapshotStore,
    types::{Command, TypeConfig},
};

/// The largest proposal: with everything around it, it must fit in one message between members.
pub const PROPOSAL_BYTES_MAX: usize = 32 << 20;

type Config<M> = TypeConfig<<M as StateMachine>::Response>;

/// One member of the cluster. Cheap to clone; all clones are the same member.
pub struct Node<M: StateMachine> {
    inner: Arc<Inner<M>>,
}

impl<M: StateMachine> Clone for Node<M> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

struct Inner<M: StateMachine> {
    config: NodeConfig,
    raft: Raft<Config<M>, Machine<M>>,
    reads: ReadIndex,
    snapshots: Arc<SnapshotStore>,
    status: watch::Receiver<Status>,
    fatal: watch::Receiver<Option<String>>,
    /// One more than the index of the last applied entry.
    applied_below: watch::Receiver<u64>,
    monitor: Mutex<Option<JoinHandle<()>>>,
    log_thread: LogIoThread,
    /// Set before the member is stopped on purpose.
    stopping: Arc<AtomicBool>,
}

/// What a member knows about itself and the cluster at some moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub id: NodeId,
    /// The current term.
    pub term: u64,
    /// The leader of that term, if it is known.
    pub leader: Option<NodeId>,
    /// The last entry in the log, durable or not.
    pub last_log_index: Option<u64>,
    /// The last entry known to be committed.
    pub committed: Option<LogId>,
    /// The last applied entry.
    pub applied: Option<LogId>,
    /// The last entry in the newest snapshot.
    pub snapshot: Option<LogId>,
    /// The last purged entry.
    pub purged: Option<LogId>,
    /// The membership in effect.
    pub membership: Arc<StoredMembership>,
    /// On the leader: the last entry that each member is known to have on its disk.
    pub replication: Arc<BTreeMap<NodeId, Option<LogId>>>,
}

/// The leader, as far as this member knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Its id.
    pub id: NodeId,
    /// Its name and addresses.
    pub member: Member,
}

pub(crate) fn leader_of(id: Option<NodeId>, member: Option<Member>) -> Option<Leader> {
    Some(Leader { id: id?, member: member? })
}

/// Why a member could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings that contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log or the snapshots cannot be read.
    #[error("cannot open the raft storage: {0}")]
    Storage(#[from] io::Error),
    /// What is on the disk does not fit together, or cannot be applied.
    #[error("cannot recover: {0}")]
    Recovery(String),
}

/// Why a proposal was not applied, or is not known to have been.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProposeError {
    /// This member does not lead, or cannot show that it still does; nothing was proposed. With a leader: try there;
    /// without: there is none right now.
    #[error("not the leader")]
    NotLeader(Option<Leader>),
    /// The command is larger than [`PROPOSAL_BYTES_MAX`]; nothing was proposed.
    #[error("a command of {0} bytes is too large")]
    TooLarge(usize),
    /// Leadership was lost after the proposal was taken: it may have been applied, may be later, or never.
    #[error("leadership was lost; the outcome of the proposal is unknown")]
    OutcomeUnknown,
    /// The member has stopped; a proposal that was taken may be applied by the others, or never.
    #[error("the member has stopped")]
    Stopped,
}

/// Why a linearizable read could not be served.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// No leader is known, or it could not show in time that it still is one.
    #[error("no leader confirmed the read: {0}")]
    NoLeader(String),
    /// The member has stopped.
    #[error("the member has stopped")]
    Stopped,
}

/// Why a change of membership or leadership was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AdminError {
    /// This member is not the leader.
    #[error("not the leader")]
    NotLeader(Option<Leader>),
    /// The change makes no sense now; the text says why.
    #[error("{0}")]
    Refused(String),
    /// The member has stopped.
    #[error("the member has stopped")]
    Stopped,
}

/// A proposal in the log. Resolves, with its index and the state machine's answer, when it was applied here. Dropping
/// it does not take the proposal back.
#[must_use = "a proposal may fail after it was taken"]
pub struct Proposal<R: crate::types::Response> {
    outcome: oneshot::Receiver<ClientWriteResult<TypeConfig<R>>>,
}

impl<R: crate::types::Response> Future for Proposal<R> {
    type Output = Result<(u64, R), ProposeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcome).poll(cx).map(|outcome| match outcome {
            Ok(Ok(written)) => {
                written.data.map(|answer| (written.log_id.index, answer)).ok_or(ProposeError::OutcomeUnknown)
            }
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => {
                Err(ProposeError::NotLeader(leader_of(forward.leader_id, forward.leader_node)))
            }
            Ok(Err(_)) => Err(ProposeError::OutcomeUnknown),
            Err(_) => Err(ProposeError::Stopped),
        })
    }
}

impl<M: StateMachine> Node<M> {
    /// Opens the log, replays what is known to be committed, and takes part in the cluster from then on.
    ///
    /// # Errors
    /// See [`StartError`]; nothing runs then.
    pub async fn start<D: LogDisk>(
        config: NodeConfig,
        disk: D,
        machine: M,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, StartError> {
        let settings = config.to_raft()?;
        let fatal = watch::Sender::new(None);
        let (applied_tx, applied_below) = watch::channel(0);

        let snapshots = Arc::new(SnapshotStore::open(&config.snapshot_dir)?);
        let machine = Machine::new(machine, snapshots.clone(), applied_tx);
        let (store, log_thread) = LogStore::open(disk, config.tail_bytes, fatal.clone()).await?;
        let log = store.reader();
        let transport = Arc::new(Transport {
            connector,
            id: config.id,
            cluster_id: config.cluster_id,
            control: Mutex::new(HashMap::new()),
        });
        let network = Network(transport.clone());
        let raft = Raft::new(config.id, Arc::new(settings), network, store, machine)
            .await
            .map_err(|e| StartError::Recovery(e.to_string()))?;

        let reads = ReadIndex::spawn(raft.clone(), transport);
        let (status_tx, status) = watch::channel(Status::default());
        let fatal_rx = fatal.subscribe();
        let policy = SnapshotPolicy { entries: config.snapshot_entries, bytes: config.snapshot_bytes };
        let stopping = Arc::new(AtomicBool::new(false));
        let monitor = Monitor { raft: raft.clone(), log, policy, status: status_tx, fatal, stopping: stopping.clone() };
        let monitor = Mutex::new(Some(tokio::spawn(monitor.run())));
        let inner = Inner {
            config,
            raft,
            reads,
            snapshots,
            status,
            fatal: fatal_rx,
            applied_below,
            monitor,
            log_thread,
            stopping,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The gRPC service for the other members. Every request must carry a [`crate::ports::PeerIdentity`] extension.
    pub fn service(&self) -> RaftServer<RaftService<M>> {
        let Inner { config, raft, reads, snapshots, .. } = &*self.inner;
        RaftService::new(raft.clone(), config.cluster_id, config.id, reads.clone(), snapshots.clone())
    }

    /// This member's id.
    pub fn id(&self) -> NodeId {
        self.inner.config.id
    }

    /// Hands a command to the log, if this member leads. Resolves when the command has its place in the queue: the
    /// order of the calls is the order in the log. Many may be in flight; the [`Proposal`] resolves when it is applied.
    ///
    /// # Errors
    /// [`ProposeError::TooLarge`] or [`ProposeError::Stopped`]; that this is not the leader, the proposal says.
    pub async fn propose(&self, command: Bytes) -> Result<Proposal<M::Response>, ProposeError> {
        if command.len() > PROPOSAL_BYTES_MAX {
            return Err(ProposeError::TooLarge(command.len()));
        }
        let (responder, outcome) = ProgressResponder::complete_only();
        let taken = self.inner.raft.client_write_ff(Command(command), Some(responder)).await;
        taken.map(|()| Proposal { outcome }).map_err(|_| ProposeError::Stopped)
    }

    /// An index such that a state in which it is applied holds everything that was acknowledged anywhere in the
    /// cluster before this call. Callers that wait at the same time share a round. On a follower the leader is asked;
    /// while there is none, the call waits for one, for some seconds.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read_index(&self) -> Result<u64, ReadError> {
        self.inner.reads.any().await
    }

    /// Resolves when this member has applied `index`.
    ///
    /// # Errors
    /// [`ReadError::Stopped`] when it never will.
    pub async fn wait_applied(&self, index: u64) -> Result<(), ReadError> {
        let mut applied = self.inner.applied_below.clone();
        applied.wait_for(|below| *below > index).await.map(|_| ()).map_err(|_| ReadError::Stopped)
    }

    /// The current status, and its changes. Term, leader and membership are published at once, log positions every
    /// 200 ms.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.inner.status.clone()
    }

    /// The leader that this member knows, as of now.
    pub fn leader(&self) -> Option<Leader> {
        let metrics = self.inner.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let id = metrics.current_leader?;
        leader_of(Some(id), metrics.membership_config.get_node(&id).cloned())
    }

    /// Whether this member believes to lead, as of now.
    pub fn leads(&self) -> bool {
        self.inner.raft.server_metrics().borrow_watched().current_leader == Some(self.id())
    }

    /// Becomes `Some`, with the reason, when the member had to leave service (a failed disk, a broken invariant). The
    /// process must exit then: nothing here answers any more.
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.inner.fatal.clone()
    }

    /// Hands leadership over if it is here and another voter can take it, then [`halt`](Self::halt)s.
    pub async fn shutdown(&self) {
        if self.leads()
            && let Err(error) = self.transfer_leader(None).await
        {
            tracing::info!("stopping without handing leadership over: {error}");
        }
        self.halt().await;
    }

    /// Stops at once; what is queued is written. The others find a new leader by themselves. The service answers
    /// UNAVAILABLE from then on.
    pub async fn halt(&self) {
        self.inner.stopping.store(true, Ordering::Relaxed);
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!("the consensus core did not end well: {error}");
        }
        let monitor = self.inner.monitor.lock().take();
        if let Some(monitor) = monitor {
            monitor.abort();
        }
        self.inner.log_thread.join().await;
    }

    pub(crate) fn raft(&self) -> &Raft<Config<M>, Machine<M>> {
        &self.inner.raft
    }

    pub(crate) fn config(&self) -> &NodeConfig {
        &self.inner.config
    }
}
