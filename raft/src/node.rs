//! The handle of one running member: propose, read, wait, change the membership, stop.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use kuorum_proto::v1::raft_server::RaftServer;
use tokio::sync::watch;

use crate::{
    config::NodeConfig,
    network::server::RaftService,
    ports::{Connector, LogDisk, LogId, Member, NodeId, StateMachine, StoredMembership},
};

/// One member of the cluster. Cheap to clone; all clones are the same member.
pub struct Node<M: StateMachine> {
    inner: Arc<std::marker::PhantomData<fn() -> M>>,
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
    /// Its addresses.
    pub member: Member,
}

/// A proposal in the log, to be committed and applied.
/// Why a member could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {}

/// Why a proposal was not applied, or is not known to have been.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProposeError {
    /// This member is not the leader; nothing was proposed.
    #[error("not the leader")]
    NotLeader(Option<Leader>),
    /// Leadership was lost after the proposal was taken: it may be applied, or never.
    #[error("leadership was lost; the outcome of the proposal is unknown")]
    OutcomeUnknown,
    /// The member has stopped; the proposal may have been taken.
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

/// Why a change of membership or leadership was refused.
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

impl<M: StateMachine> Node<M> {
    /// Opens the log, replays what is committed, and takes part in the cluster.
    pub async fn start<D: LogDisk>(
        config: NodeConfig,
        disk: D,
        machine: M,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, StartError> { unimplemented!() }

    /// The gRPC service for the other members. Each request must carry a [`crate::ports::PeerIdentity`] extension.
    pub fn service(&self) -> RaftServer<RaftService<M>> { unimplemented!() }

    /// Whether this member belongs to a cluster (has a log or a membership).
    pub async fn is_initialized(&self) -> Result<bool, AdminError> { unimplemented!() }

    /// Makes a new cluster of these voters. Every initial member calls it with the same map; later calls do nothing.
    pub async fn initialize(&self, members: BTreeMap<NodeId, Member>) -> Result<(), AdminError> { unimplemented!() }

    /// Hands a command to the leader's log, if this member is the leader. Resolves when the command has its place in
    /// the queue (the order of calls is the order in the log); the returned future resolves when it was applied here,
    /// with its index and the response. Many may be in flight.
    pub async fn propose(
        &self,
        command: Bytes,
    ) -> Result<impl Future<Output = Result<(u64, M::Response), ProposeError>> + Send + 'static, ProposeError> {
        Ok(async { unimplemented!() })
    }

    /// An index such that a state in which it is applied holds everything that was acknowledged anywhere in the
    /// cluster before this call. Callers that wait at the same time share a round. On a follower the leader is asked.
    pub async fn read_index(&self) -> Result<u64, ReadError> { unimplemented!() }

    /// Resolves when this member has applied `index`.
    pub async fn wait_applied(&self, index: u64) -> Result<(), ReadError> { unimplemented!() }

    /// The current status, and its changes.
    pub fn status(&self) -> watch::Receiver<Status> { unimplemented!() }

    /// The leader that this member knows, with its addresses.
    pub fn leader(&self) -> Option<Leader> { unimplemented!() }

    /// Becomes `Some` when the member had to leave service (storage failure, panic), with the reason. The process
    /// must exit then.
    pub fn fatal(&self) -> watch::Receiver<Option<String>> { unimplemented!() }

    /// Adds a member without a vote, which then receives the log. Returns when it is in the membership.
    pub async fn add_learner(&self, id: NodeId, member: Member) -> Result<(), AdminError> { unimplemented!() }

    /// Gives a learner a vote. Refused while it is far behind.
    pub async fn promote(&self, id: NodeId) -> Result<(), AdminError> { unimplemented!() }

    /// Takes a member out, voter or learner.
    pub async fn remove(&self, id: NodeId) -> Result<(), AdminError> { unimplemented!() }

    /// Changes a member's addresses.
    pub async fn update_member(&self, id: NodeId, member: Member) -> Result<(), AdminError> { unimplemented!() }

    /// Hands leadership to `to` (`None`: the voter that has the most of the log); resolves when another member leads.
    pub async fn transfer_leader(&self, to: Option<NodeId>) -> Result<(), AdminError> { unimplemented!() }

    /// Builds a snapshot now (it is also done by itself, see [`NodeConfig`]).
    pub async fn snapshot(&self) -> Result<(), AdminError> { unimplemented!() }

    /// Hands leadership over if it is here, then stops and flushes. The service answers UNAVAILABLE afterwards.
    pub async fn shutdown(&self) { unimplemented!() }
}
